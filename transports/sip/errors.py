"""What can go wrong between us and the SIP stack.

SipError
  PortInUse      another process has sip.port
  NoAddress      sip.host is no address of this machine
"""

from __future__ import annotations


class SipError(Exception):
    """SIP can't start or can't go on; the message is a sentence for the operator."""


class PortInUse(SipError):
    def __init__(self, host: str, port: int, protocol: str) -> None:
        super().__init__(
            f"{host}:{port} ({protocol}) is in use by another process: stop it, or set sip.port to another."
        )


class NoAddress(SipError):
    def __init__(self, host: str) -> None:
        super().__init__(f"sip.host {host!r} is not an address of this machine.")
