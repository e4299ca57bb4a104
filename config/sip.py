"""What is listened on for telephone calls, who may call, and what is agreed with them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from config.accounts import AccountName, AccountSettings
from config.logins import AuthSettings, RegistrarSettings
from config.section import PRIVATE_NETWORKS, Address, Codec, FilePath, Network, Port, Section, require_both

_HOST_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}")


def _address_or_name(value: str) -> str:
    name = len(value) <= 253 and _HOST_NAME.fullmatch(value)
    if name and not value.rpartition(".")[2].isdecimal():
        return value.lower()
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("an IP address or a host name, such as 203.0.113.5 or office.example.com") from None


# Validators' messages go on from "it must be".
AddressOrName = Annotated[str, AfterValidator(_address_or_name)]
MediaEncryption = Literal["off", "optional", "required"]
RefersFrom = Literal["never", "trusted", "anyone"]

MOST_PROCESSES = 16


class SipSettings(Section):
    enabled: bool = Field(True, description="Take calls over SIP.")
    host: Address = Field("0.0.0.0", description="Address to listen on; 0.0.0.0 is every address.")
    port: Port = Field(5060, description="UDP and TCP port to listen on.")
    public_address: AddressOrName | None = Field(
        None,
        description="What peers on the Internet see of this machine, where 1:1 NAT is between: an IP address "
        "or a name, which is looked up again and again.",
    )
    tls: bool = Field(
        False, description="Listen with TLS, too: so it does where a certificate is given; else self-signed."
    )
    tls_port: Port = Field(5061, description="TCP port for TLS.")
    tls_cert: FilePath | None = Field(None, description="PEM file of the certificate and its chain.")
    tls_key: FilePath | None = Field(None, description="PEM file of its private key.")
    tls_ca: FilePath | None = Field(
        None,
        description="PEM file of the authorities that sign for whom offhook connects to over TLS; "
        "the system's by default.",
    )
    tls_client_ca: FilePath | None = Field(
        None, description="PEM file of authorities; callers over TLS must have a certificate that one signed."
    )
    users: tuple[str, ...] = Field((), description="User parts that are answered; empty answers any.")
    allow: tuple[Network, ...] = Field(
        PRIVATE_NETWORKS, description="Networks that may call; everyone else gets no answer."
    )
    trusted_peers: tuple[Network, ...] = Field(
        (),
        description="Peers that are believed about who calls where From is anonymous (P-Asserted-Identity, "
        "Remote-Party-ID).",
    )
    accept_refer: RefersFrom = Field(
        "never",
        description="Who may have a call of theirs go on with somebody else (REFER), whom outbound.allow "
        "must list: trusted is sip.trusted_peers and the servers of accounts.",
    )
    messages_per_s: int = Field(
        20,
        ge=1,
        le=10000,
        description="Messages a second that one address may send; ten times as many once it has had a call.",
    )
    ban_s: int = Field(
        600, ge=0, le=604800, description="How long scanners and floods are ignored; 0 bans nobody."
    )
    ban_exempt: tuple[Network, ...] = Field(
        ("127.0.0.0/8", "::1/128"),
        description="Networks that are neither limited nor banned, as a PBX's; trusted_peers and proxies "
        "neither.",
    )
    proxies: tuple[Network, ...] = Field(
        (),
        description="Proxies in front of offhook, which are believed about who sent what they pass on (Via); "
        "whom sip.allow doesn't list gets 403.",
    )
    codecs: tuple[Codec, ...] = Field(
        ("opus", "g722", "pcmu", "pcma"), min_length=1, description="Offered and accepted, best first."
    )
    processes: int = Field(
        1,
        ge=1,
        le=MOST_PROCESSES,
        description="Processes that share the calls that come over UDP; one holds about 200. Each has the "
        "models in memory.",
    )
    rtp_ports: tuple[Port, Port] = Field((10000, 20000), description="First and last RTP port.")
    media_encryption: MediaEncryption = Field(
        "optional",
        description="SRTP, by SDES or DTLS: off refuses calls that demand it, optional takes it where it is "
        "offered, required refuses calls without.",
    )
    trace_calls: int = Field(
        100,
        ge=0,
        le=1000,
        description="Calls whose SIP messages are kept in memory, for `offhook sip trace`; 0 for none.",
    )
    rtp_timeout_s: int = Field(20, ge=2, le=600, description="A caller silent on the wire this long is gone.")
    auth: AuthSettings = AuthSettings()
    registrar: RegistrarSettings = RegistrarSettings()
    accounts: dict[AccountName, AccountSettings] = Field(
        {}, max_length=200, description="Accounts at providers and PBXs, and trunks, by name."
    )

    @property
    def over_tls(self) -> bool:
        return self.tls or self.tls_cert is not None

    def of_process(self, number: int) -> SipSettings:
        """With the RTP ports that this one of the processes has, from 0 on."""
        if self.processes == 1:
            return self
        first, last = self.rtp_ports
        size = (last - first + 1) // self.processes & ~1  # RTP has an even port, and RTCP the next
        first += number * size
        return self.model_copy(update={"rtp_ports": (first, first + size - 1)})

    @field_validator("media_encryption", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: object) -> object:
        return "off" if value is False else value

    @model_validator(mode="after")
    def _sane_rtp_ports(self) -> Self:
        first, last = self.rtp_ports
        if first < 1024 or last <= first:
            raise ValueError(
                f"sip.rtp_ports is {first}, {last}; "
                "it must be the first and the last port of a range from 1024 to 65535."
            )
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        require_both("sip", self.tls_cert, self.tls_key)
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.over_tls and self.tls_port == self.port:
            raise ValueError(f"sip.tls_port is {self.tls_port}, as sip.port is; they must differ.")
        return self
