"""Accounts at SIP providers and PBXs, and the trunks that need no login."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from config.section import Codec, Network, Section

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_ACCOUNT_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def _host_port(value: str) -> str:
    host, port = split_host_port(value)
    if not (_HOST.fullmatch(host) or _is_ipv6(host)) or not (0 <= port <= 65535):
        raise ValueError("a host with or without a port, such as sip.example.com or 192.0.2.10:5070")
    return value


def _is_ipv6(host: str) -> bool:
    try:
        return ip_address(host).version == 6
    except ValueError:
        return False


def _account_name(name: str) -> str:
    if not _ACCOUNT_NAME.fullmatch(name):
        raise ValueError("a mapping by names of lower-case letters, digits and single underscores")
    return name


def _user(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+*._~-]{1,64}", value):
        raise ValueError("the user part of a SIP address, such as 1001 or +4930123456")
    return value


def split_host_port(value: str) -> tuple[str, int]:
    """`[2001:db8::1]:5070` and `sip.example.com` alike; 0 where no port is given, -1 where it is none."""
    found = re.fullmatch(r"\[(?P<v6>[^\]]*)\](?::(?P<p6>\d+))?|(?P<host>[^:]*)(?::(?P<port>\d+))?", value)
    if not found:
        return "", -1
    return found["v6"] or found["host"] or "", int(found["p6"] or found["port"] or 0)


HostPort = Annotated[str, AfterValidator(_host_port)]
AccountName = Annotated[str, AfterValidator(_account_name)]
User = Annotated[str, AfterValidator(_user)]


class AccountSettings(Section):
    """One account or trunk. `str` and `repr` don't show its secret."""

    server: HostPort = Field(description="The registrar, or the trunk: a host with or without a port.")
    user: User = Field(description="As which calls are made and taken there: a number or a name.")
    auth_user: str | None = Field(None, description="What logs in, where that isn't the user.")
    secret: SecretStr | None = Field(None, description="The password.")
    proxy: HostPort | None = Field(None, description="What everything is sent to, where not to the server.")
    transport: Literal["udp", "tcp", "tls"] = Field("udp", description="How the server is reached.")
    registers: bool = Field(True, description="false for a trunk that sends calls to this address.")
    expires_s: int = Field(600, ge=30, le=86400, description="For how long to register.")
    codecs: tuple[Codec, ...] | None = Field(None, min_length=1, description="sip.codecs by default.")
    addresses: tuple[Network, ...] = Field(
        (),
        description="From where its calls come, besides its server; sip.allow needn't list them.",
    )

    @model_validator(mode="after")
    def _trunk_has_addresses(self) -> Self:
        if not self.registers and not self.networks:
            raise ValueError(
                "a mapping in which an account that doesn't register has addresses, from which its calls come"
            )
        return self

    @property
    def networks(self) -> tuple[str, ...]:
        """From where its calls come, as far as the settings tell."""
        hosts = (split_host_port(one)[0] for one in (self.server, self.proxy) if one)
        return (*self.addresses, *(str(ip_network(host)) for host in hosts if _is_address(host)))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
