"""How the telephone line is, as operators see it."""

from __future__ import annotations

from config.sip import SipSettings
from models.pool import ComponentHealth
from transports.sip.registration import State
from transports.sip.server import SipServer


def sip_health(sip: SipServer, settings: SipSettings, *, dead: bool) -> ComponentHealth:
    """`dead`: the SIP thread is."""
    where = f"{settings.host}:{settings.port}" + (f", TLS {settings.tls_port}" if settings.over_tls else "")
    state, error, remedy = _state(sip, dead)
    return ComponentHealth("sip", state, where, "baresip", error, 0, remedy=remedy)


def _state(sip: SipServer, dead: bool) -> tuple[str, str | None, str | None]:
    if dead:
        return "down", "The SIP thread died.", "Start offhook again."
    if not sip.listening:
        return "loading", None, None
    if not sip.reached:
        why = " ".join(sip.troubles) or "This machine has no address to be called at."
        return "down", why, "Bring the interface up again, or set sip.host to an address that is there."
    failed = [one for one in sip.accounts if one.state is State.FAILED]
    troubles = [*sip.troubles, *(f"Account {one.name}: {one.last_error}" for one in failed)]
    if troubles:
        return "degraded", " ".join(troubles), "The other addresses and accounts are answered."
    return "ready", None, None
