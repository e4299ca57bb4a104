"""What can go wrong with a model.

    ModelError
    ├── WeightsError      the weights are missing, incomplete or not what they should be
    ├── ModelBusy         this piece of work was refused: too much is waiting, or it is too much
    └── ModelFailed       the model raised while working
        ├── ModelUnloaded it isn't loaded yet, or no more
        ├── ModelLate     its answer didn't begin, or didn't go on, in time
        └── ModelAway     its server can't be reached
            └── ModelOverloaded   it can, and asks to try again

Every message is a sentence for the operator. None of them holds what a caller said.
"""

from __future__ import annotations

from config.redaction import without_credentials


class ModelError(Exception):
    """Base of every error of this package."""

    def __str__(self) -> str:
        return without_credentials(super().__str__())  # many name the URL that was asked


class WeightsError(ModelError):
    """Weights can't be loaded; the message names the file and the remedy."""


class ModelBusy(ModelError):
    """The model's queue is full, or the work would take longer than it is worth."""


class ModelFailed(ModelError):
    """Inference failed."""


class ModelUnloaded(ModelFailed):
    """The model isn't loaded yet, or is closed."""


class ModelLate(ModelFailed):
    """An answer didn't begin, or didn't go on, in time."""


class ModelAway(ModelFailed):
    """The model's server can't be reached."""


class ModelOverloaded(ModelAway):
    """The model's server asks to try again, after `retry_after_s` if it says so."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
