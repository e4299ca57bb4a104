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

from config.calendar import CalendarSettings
from config.carriers import CarrierSettings
from config.cluster import ClusterSettings
from config.limits import LimitSettings
from config.llm import LlmSettings
from config.outbound import OutboundSettings
from config.recordings import RecordingsSettings
from config.records import RecordsSettings
from config.routes import RouteSettings
from config.section import FilePath, Network, Port, Section, as_address, require_both
from config.sip import MOST_PROCESSES, SipSettings
from config.speech_server import SpeechServerSettings
from config.telemetry import TelemetrySettings
from config.tools import ToolSettings
from config.transfer import SipUri, TransferSettings
from config.turn import TurnSettings
from config.voicemail import VoicemailSettings
from config.webhook import WebhookSettings


def _address_or_localhost(value: str) -> str:
    return value if value == "localhost" else as_address(value)


def _stun_uri(value: str) -> str:
    if not re.fullmatch(r"stun:[^\s:?@\[\]]+(:[0-9]{1,5})?", value):
        raise ValueError("a list, each as stun:stun.example.org:3478, with a name or an IPv4 address")
    return value


def _turn_uri(value: str) -> str:
    if not re.fullmatch(r"turns?:[^\s:?@\[\]]+(:[0-9]{1,5})?(\?transport=(udp|tcp))?", value):
        raise ValueError(
            "a list, each as turn:turn.example.org:3478?transport=udp, with a name or an IPv4 address"
        )
    return value


# Validators' messages go on from "it must be".
HttpHost = Annotated[str, AfterValidator(_address_or_localhost)]
# As aiortc takes them, and browsers.
StunUri = Annotated[str, AfterValidator(_stun_uri)]
TurnUri = Annotated[str, AfterValidator(_turn_uri)]
Device = Literal["auto", "cpu", "cuda"]
TestNumber = Literal["echo", "tone", "keys", "repeat", "latency", "quality"]

KEY_CHARACTERS = 16
CALLS_OF_A_PROCESS = 200
MOST_BY_ITSELF = 50  # calls that Python bears in one process, and `auto` takes at most in each


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least that is logged.")
    format: Literal["text", "json"] = Field("text", description="For people, or one JSON object a line.")


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
        description="Calls at once of one source, which is an account or an address, over all of "
        "sip.processes and all nodes. A PBX is one, whoever calls through it.",
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


class SttSettings(SpeechServerSettings):
    model: str = Field(
        "auto",
        description="tiny.en or base (bundled), a folder, or a hub name such as 'small'; auto takes tiny.en "
        "for English, which it hears as well as base does and in half the time, and base for the rest. "
        "Where stt.url is set, its name there; auto is whisper-1.",
    )
    device: Device = Field("auto", description="auto takes a GPU that CTranslate2 can use.")
    compute_type: Literal[
        "auto", "int8", "int8_float16", "int8_float32", "int8_bfloat16", "float16", "bfloat16", "float32"
    ] = Field("auto", description="CTranslate2's; auto is what is fastest on the device.")
    threads: int = Field(0, ge=0, le=64, description="0 uses one, the fastest for short speech.")


class TtsSettings(SpeechServerSettings):
    model: str = Field("tts-1", min_length=1, description="The model's name on the server at tts.url.")
    voice: str | None = Field(
        None,
        description="A voice or .onnx file, or one that the server at tts.url has; the persona's by default. "
        "Of personas in several languages, those speak with it that share the first one's.",
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
        require_both("http", self.tls_cert, self.tls_key)
        return self


class WebRtcSettings(Section):
    enabled: bool = Field(True, description="Take calls from browsers.")
    stun: tuple[StunUri, ...] = Field((), description="STUN servers, e.g. stun:stun.example.org:3478.")
    turn: tuple[TurnUri, ...] = Field((), description="TURN servers, e.g. turn:turn.example.org:3478.")
    turn_secret: SecretStr | None = Field(None, description="coturn's static-auth-secret.")
    turn_ttl_s: int = Field(3600, ge=60, le=86400, description="How long TURN credentials hold.")
    gone_s: float = Field(10.0, ge=2, le=60, description="A silent browser is gone after this long.")

    @model_validator(mode="after")
    def _secret_for_turn(self) -> Self:
        if self.turn and not self.turn_secret:
            raise ValueError(
                "webrtc.turn is set without webrtc.turn_secret; browsers use TURN with a password only."
            )
        return self


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
    limits: LimitSettings = LimitSettings()
    turn: TurnSettings = TurnSettings()
    http: HttpSettings = HttpSettings()
    webrtc: WebRtcSettings = WebRtcSettings()
    carriers: CarrierSettings = CarrierSettings()
    text: TextSettings = TextSettings()
    transfer: TransferSettings = TransferSettings()
    tools: ToolSettings = ToolSettings()
    webhook: WebhookSettings = WebhookSettings()
    voicemail: VoicemailSettings = VoicemailSettings()
    records: RecordsSettings = RecordsSettings()
    cluster: ClusterSettings = ClusterSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    recordings: RecordingsSettings = RecordingsSettings()
    calendar: CalendarSettings = CalendarSettings()

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
    def _one_of_several(self) -> Self:
        if not self.cluster.enabled:
            return self
        database, key = self.records.url, self.cluster.key
        if not self.records.enabled or database is None or "postgresql" not in database.get_secret_value():
            raise ValueError("cluster.enabled is set, so records.url must name the nodes' PostgreSQL.")
        if self.cluster.url is None or not self.http.enabled or self.http.api_key is None:
            raise ValueError(
                "cluster.enabled is set, so other nodes must reach this one: set cluster.url and "
                "http.api_key, and leave http.enabled on."
            )
        if key is None or len(key.get_secret_value()) < KEY_CHARACTERS:
            raise ValueError(
                f"cluster.enabled is set, so cluster.key must have at least {KEY_CHARACTERS} characters, "
                "such as what this prints: openssl rand -hex 16"
            )
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
