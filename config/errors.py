"""The error of this package."""


class ConfigError(Exception):
    """What somebody set can't be used. The message is one sentence for that person."""
