"""Everything that can be set, with its default and its limits.

The tree is frozen: a running server never changes its settings. `config.sources` fills it from a
file, the environment and flags.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from config.accounts import AccountName, AccountSettings
from config.carriers import CarrierSettings
from config.llm import LlmSettings
from config.logins import AuthSettings, RegistrarSettings
from config.outbound import OutboundSettings
from config.recordings import RecordingsSettings
from config.records import RecordsSettings
from config.routes import RouteSettings
from config.section import Codec, Network, Section
from config.telemetry import TelemetrySettings
from config.transfer import SipUri, TransferSettings
from config.turn import TurnSettings
from config.voicemail import VoicemailSettings
from config.webhook import WebhookSettings

_HOST_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}")


def _expanded(path: Path) -> Path:
    return path.expanduser()


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("an IP address, such as 127.0.0.1 or 0.0.0.0") from None


def _address_or_localhost(value: str) -> str:
    return value if value == "localhost" else _address(value)


def _address_or_name(value: str) -> str:
    name = len(value) <= 253 and _HOST_NAME.fullmatch(value)
    if name and not value.rpartition(".")[2].isdecimal():
        return value.lower()
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("an IP address or a host name, such as 203.0.113.5 or office.example.com") from None


def _require_both(section: str, cert: Path | None, key: Path | None) -> None:
    if (cert is None) != (key is None):
        here, missing = ("tls_key", "tls_cert") if cert is None else ("tls_cert", "tls_key")
        raise ValueError(f"{section}.{here} is set without {section}.{missing}; they must be set together.")


# Validators' messages go on from "it must be".
Port = Annotated[int, Field(ge=1, le=65535)]
FilePath = Annotated[Path, AfterValidator(_expanded)]
Address = Annotated[str, AfterValidator(_address)]
AddressOrName = Annotated[str, AfterValidator(_address_or_name)]
HttpHost = Annotated[str, AfterValidator(_address_or_localhost)]
Device = Literal["auto", "cpu", "cuda"]
MediaEncryption = Literal["off", "optional", "required"]
RefersFrom = Literal["never", "trusted", "anyone"]
TestNumber = Literal["echo", "tone", "keys", "repeat", "latency", "quality"]

KEY_CHARACTERS = 16
CALLS_OF_A_PROCESS = 200
MOST_PROCESSES = 16
MOST_BY_ITSELF = 50  # calls that Python bears in one process, and `auto` takes at most in each

PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least that is logged.")
    format: Literal["text", "json"] = Field("text", description="For people, or one JSON object a line.")


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
        description="Networks that are neither limited nor banned, as a proxy's; trusted_peers neither.",
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
        _require_both("sip", self.tls_cert, self.tls_key)
        return self

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.over_tls and self.tls_port == self.port:
            raise ValueError(f"sip.tls_port is {self.tls_port}, as sip.port is; they must differ.")
        return self


class CallSettings(Section):
    max_calls: Annotated[int, Field(ge=1, le=CALLS_OF_A_PROCESS * MOST_PROCESSES)] | Literal["auto"] = Field(
        "auto",
        description="Calls at once, over every transport, 200 for each of sip.processes at most; auto is "
        "what a short calibration at the start says that this machine bears, 4 at least.",
    )
    max_per_source: int | None = Field(
        None,
        ge=1,
        le=200,
        description="Calls at once of one source, which is an account or an address, in each of "
        "sip.processes. A PBX is one, whoever calls through it.",
    )
    divert_to: SipUri | None = Field(
        None,
        description="Whom a caller over SIP is sent to (302) where there is no place: a SIP address.",
    )
    max_duration_s: int = Field(3600, ge=10, le=86400, description="Longest call.")
    idle_prompt_s: float = Field(12.0, ge=2, le=600, description="Silence before 'Are you still there?'.")
    hold_music: str = Field(
        "generated",
        min_length=1,
        description="What a held caller hears: generated, none, or the path of a WAV file (16 bit PCM).",
    )
    idle_prompts: int = Field(2, ge=0, le=10, description="How often to ask before saying goodbye.")
    end_deadline_s: float = Field(8.0, ge=1, le=60, description="Longest a call may take to end.")
    drain_s: float = Field(30.0, ge=0, le=3600, description="How long SIGTERM lets calls go on.")

    @property
    def wanted(self) -> int | None:
        """How many calls were asked for; None for as many as the machine bears."""
        return None if self.max_calls == "auto" else self.max_calls


class SttSettings(Section):
    model: str = Field(
        "auto",
        description="tiny.en or base (bundled), a folder, or a hub name such as 'small'; auto takes tiny.en "
        "for English, which it hears as well as base does and in half the time, and base for the rest.",
    )
    device: Device = Field("auto", description="auto takes a GPU that CTranslate2 can use.")
    compute_type: Literal[
        "auto", "int8", "int8_float16", "int8_float32", "int8_bfloat16", "float16", "bfloat16", "float32"
    ] = Field("auto", description="CTranslate2's; auto is what is fastest on the device.")
    threads: int = Field(0, ge=0, le=64, description="0 uses one, the fastest for short speech.")


class TtsSettings(Section):
    voice: str | None = Field(
        None,
        description="A voice or .onnx file; the persona's by default. Of personas in several "
        "languages, those speak with it that share the first one's.",
    )
    device: Device = Field("auto", description="auto takes a GPU that ONNX Runtime can use, for Kokoro.")
    threads: int = Field(0, ge=0, le=64, description="0 uses every core, but at most four.")


class HttpSettings(Section):
    enabled: bool = Field(True, description="Serve health, sessions and the page.")
    host: HttpHost = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8080, description="TCP port to listen on.")
    api_key: SecretStr | None = Field(
        None,
        description="At least 16 characters. Required when http.host isn't a loopback address, behind "
        "a proxy, and for carriers.",
    )
    requests_per_minute: int = Field(
        3000, ge=60, le=1_000_000, description="That one API key may ask, and one address, where keys are."
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="Proxies that are believed about who asks (X-Forwarded-For, -Proto, -Host)."
    )
    tls: bool = Field(False, description="Serve HTTPS; self-signed unless a certificate is given.")
    tls_cert: FilePath | None = Field(None, description="PEM file of the certificate and its chain.")
    tls_key: FilePath | None = Field(None, description="PEM file of its private key.")

    @property
    def loopback(self) -> bool:
        return self.host == "localhost" or ip_address(self.host).is_loopback

    @field_validator("api_key")
    @classmethod
    def _hard_to_guess(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < KEY_CHARACTERS:
            raise ValueError(
                f"at least {KEY_CHARACTERS} characters long, such as what this prints: openssl rand -hex 16"
            )
        return key

    @model_validator(mode="after")
    def _key_beyond_loopback(self) -> Self:
        if self.enabled and not self.loopback and self.api_key is None:
            raise ValueError(
                f"http.host is {self.host}, which isn't a loopback address, so http.api_key must be set: "
                "set OFFHOOK_HTTP__API_KEY, or name a file that holds it with http.api_key_file."
            )
        return self

    @model_validator(mode="after")
    def _key_behind_proxies(self) -> Self:
        if self.enabled and self.trusted_proxies and self.api_key is None:
            raise ValueError(
                "http.trusted_proxies names proxies, which pass on what anyone asks, so http.api_key must be "
                "set: set OFFHOOK_HTTP__API_KEY, or name a file that holds it with http.api_key_file."
            )
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        _require_both("http", self.tls_cert, self.tls_key)
        return self


class WebRtcSettings(Section):
    enabled: bool = Field(True, description="Take calls from browsers.")
    stun: tuple[str, ...] = Field((), description="STUN servers, e.g. stun:stun.example.org:3478.")
    turn: tuple[str, ...] = Field((), description="TURN servers, e.g. turn:turn.example.org:3478.")
    turn_secret: SecretStr | None = Field(None, description="coturn's static-auth-secret.")
    turn_ttl_s: int = Field(3600, ge=60, le=86400, description="How long TURN credentials hold.")
    gone_s: float = Field(10.0, ge=2, le=60, description="A silent browser is gone after this long.")


class LineTestSettings(Section):
    enabled: bool = Field(
        True, description="Test the line of who calls echo, tone, keys, repeat, latency or quality."
    )
    numbers: dict[str, TestNumber] = Field(
        {}, max_length=1000, description="Called number or SIP user part: which of those tests it is, too."
    )


class TextSettings(Section):
    group_tokens: int = Field(
        4, ge=1, le=64, description="Tokens in one WebSocket message, after the first, sent alone."
    )
    conversations: int = Field(256, ge=1, le=100_000, description="Kept in memory; the oldest goes first.")
    conversation_ttl_s: int = Field(1800, ge=10, le=86400, description="An idle one is forgotten after this.")
    max_requests: int = Field(
        8, ge=1, le=200, description="Text requests at work at once; uploads and long texts are half at most."
    )
    max_audio_s: int = Field(120, ge=1, le=3600, description="Longest recording to transcribe.")


class Settings(Section):
    """The whole tree. `Settings()` is a server that works."""

    persona: str = Field("en", description="Who answers: a persona that is shipped, by name, or a path.")
    languages: tuple[str, ...] = Field(
        (),
        max_length=16,
        description="Personas of as many languages. The first greets, unless persona is given; the language "
        "that the caller then speaks decides who goes on.",
    )
    numbers: dict[str, str] = Field(
        {}, max_length=1000, description="Called number or SIP user part: the persona that answers there."
    )
    routes: tuple[RouteSettings, ...] = Field(
        (),
        max_length=1000,
        description="Who answers which call, and when; the first that fits. Behind them come the numbers.",
    )
    test_numbers: LineTestSettings = LineTestSettings()
    cache_dir: FilePath = Field(
        Path("~/.cache/offhook"), validate_default=True, description="Joined and downloaded weights."
    )
    state_dir: FilePath = Field(
        Path("~/.local/state/offhook"), validate_default=True, description="What offhook keeps of its calls."
    )
    log: LogSettings = LogSettings()
    sip: SipSettings = SipSettings()
    outbound: OutboundSettings = OutboundSettings()
    call: CallSettings = CallSettings()
    stt: SttSettings = SttSettings()
    tts: TtsSettings = TtsSettings()
    llm: LlmSettings = LlmSettings()
    turn: TurnSettings = TurnSettings()
    http: HttpSettings = HttpSettings()
    webrtc: WebRtcSettings = WebRtcSettings()
    carriers: CarrierSettings = CarrierSettings()
    text: TextSettings = TextSettings()
    transfer: TransferSettings = TransferSettings()
    webhook: WebhookSettings = WebhookSettings()
    voicemail: VoicemailSettings = VoicemailSettings()
    records: RecordsSettings = RecordsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    recordings: RecordingsSettings = RecordingsSettings()

    @property
    def most_calls(self) -> int:
        """Calls that there may ever be at once, and that all must be there for."""
        if self.call.wanted is not None:
            return self.call.wanted
        if not self.sip.enabled:
            return MOST_BY_ITSELF
        (first, last), processes = self.sip.rtp_ports, self.sip.processes
        return min(MOST_BY_ITSELF * processes, (last - first + 1) // (2 * processes))

    @model_validator(mode="after")
    def _where_to_post_calls(self) -> Self:
        if self.webhook.calls and not (self.webhook.url and self.records.enabled):
            raise ValueError("webhook.calls is set, so webhook.url must be set, and records.enabled be true.")
        return self

    @model_validator(mode="after")
    def _whose_recordings(self) -> Self:
        """Nobody could say whose one is that outlives its record, or who listened."""
        for name in ("enabled", "listening"):
            if getattr(self.recordings, name) and not self.records.enabled:
                raise ValueError(f"recordings.{name} is set, so records.enabled must be true.")
        if self.recordings.enabled and self.recordings.keep_days > self.records.keep_days:
            raise ValueError(
                f"recordings.keep_days is {self.recordings.keep_days}; it must be at most "
                f"records.keep_days, which is {self.records.keep_days}."
            )
        return self

    @model_validator(mode="after")
    def _key_with_carriers(self) -> Self:
        if self.carriers.enabled and self.http.enabled and self.http.api_key is None:
            raise ValueError(
                "carriers.enabled names carriers, which reach this server from the Internet, where others "
                "do too, so http.api_key must be set: set OFFHOOK_HTTP__API_KEY, or name a file that holds "
                "it with http.api_key_file. Carriers don't send it; they sign what they ask."
            )
        return self

    @model_validator(mode="after")
    def _routes_of_accounts(self) -> Self:
        for route in self.routes:
            if route.account is not None and route.account not in self.sip.accounts:
                raise ValueError(f"routes has the account {route.account}, which sip.accounts lacks.")
        return self

    @model_validator(mode="after")
    def _calls_of_processes(self) -> Self:
        most = CALLS_OF_A_PROCESS * (self.sip.processes if self.sip.enabled else 1)
        if self.most_calls > most:
            raise ValueError(
                f"call.max_calls is {self.call.max_calls}; it must be at most {most}, "
                f"{CALLS_OF_A_PROCESS} for each of sip.processes."
            )
        return self

    @model_validator(mode="after")
    def _ports_apart(self) -> Self:
        if not self.sip.enabled:
            return self
        first, last = self.sip.rtp_ports
        needed = 2 * self.sip.processes * min(self.most_calls, CALLS_OF_A_PROCESS)
        if last - first + 1 < needed:
            raise ValueError(
                f"sip.rtp_ports has {last - first + 1} ports; call.max_calls is {self.call.max_calls}, "
                f"which needs at least {needed}, two a call"
                + (" in each of sip.processes." if self.sip.processes > 1 else ".")
            )
        if first <= self.sip.port <= last:
            raise ValueError(
                f"sip.port is {self.sip.port}; it must be outside sip.rtp_ports, {first} to {last}."
            )
        if self.http.enabled and self.http.port == self.sip.port:
            raise ValueError(f"http.port and sip.port are both {self.sip.port}; they must differ.")
        return self
