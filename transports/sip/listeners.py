"""The addresses that are listened on, which come and go as the machine's do."""

from __future__ import annotations

import logging
import socket

from config.sip import SipSettings
from transports.sip.errors import NoAddress
from transports.sip.kernel_filter import KernelFilter
from transports.sip.native import EVERY_ADDRESS, Stack
from transports.sip.native_link import Begin
from transports.sip.worker import Worker

logger = logging.getLogger("offhook.sip")


class Listeners:
    """Of one SIP stack."""

    def __init__(
        self, settings: SipSettings, sockets: list[socket.socket], kernel_filter: KernelFilter, begin: Begin
    ) -> None:
        """`sockets` are kept up to date. `begin` is called on the SIP thread before new ones are read."""
        self._settings = settings
        self._sockets = sockets
        self._filter = kernel_filter
        self._begin = begin
        self.troubles: list[str] = []  # why addresses can't be listened on

    async def open(self, stack: Stack, certificate: bytes | None, worker: Worker | None = None) -> None:
        """Listen, over TLS with this certificate; a worker is where another process listens.

        Raises PortInUse, NoAddress, SipError.
        """
        settings = self._settings

        def start_tls() -> None:
            stack.tls.start(settings.tls_ca, settings.tls_client_ca)
            if certificate:
                stack.tls.certify(certificate)

        await stack.on_sip_thread(start_tls)
        if worker:
            await worker.open(stack, self._begin)
            return
        stack.tls_port = settings.tls_port if settings.over_tls else None
        self._sockets += await stack.listen(
            settings.host, settings.port, self._filter.compiled(), self._begin
        )

    async def follow(self, stack: Stack) -> bool:
        """Listen on the addresses that the machine has got since, and no longer on those that it has lost.

        Returns whether there were any.
        """
        new, gone, errors = await stack.follow_addresses(
            self._settings.host, self._settings.port, self._filter.compiled(), self._begin
        )
        self._filter.close_sockets(gone)
        self._sockets += new
        put_on = self._filter.compiled()  # somebody may have been banned meanwhile
        for sock in new:
            put_on(sock)
        if new or gone:
            added = {sock.getsockname()[0] for sock in new}
            logger.info("addresses: listening on %s, no longer on %s", _listed(added), _listed(gone))
        several = self._settings.host in EVERY_ADDRESS
        # One of several that the machine has, and yet has not, isn't ready yet.
        told = [str(error) for error in errors if not (several and isinstance(error, NoAddress))]
        for error in told:
            if error not in self.troubles:
                logger.warning("%s", error)
        self.troubles = told
        return bool(new or gone)

    @property
    def reached(self) -> bool:
        """Whether any address is listened on that the machine has."""
        lost = self.troubles and self._settings.host not in EVERY_ADDRESS
        return bool(self._sockets) and not lost


def _listed(addresses: set[str]) -> str:
    return ", ".join(sorted(addresses)) or "none"
