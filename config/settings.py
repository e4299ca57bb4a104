"""Everything that can be set, with its default and its limits.

The tree is frozen: a running server never changes its settings. `config.sources` fills it from a
file, the environment and flags.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Device = Literal["auto", "cpu", "cuda"]
Codec = Literal["opus", "g722", "pcmu", "pcma"]

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


class Section(BaseModel):
    """A frozen branch of the tree that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class SipSettings(Section):
    enabled: bool = True
    host: str = Field("0.0.0.0", description="Address to listen on; 0.0.0.0 is every address.")
    port: Port = 5060
    users: tuple[str, ...] = Field((), description="User parts that are answered; empty answers any.")
    allow: tuple[str, ...] = Field(
        PRIVATE_NETWORKS, description="CIDR networks that may call; everyone else gets no answer."
    )
    codecs: tuple[Codec, ...] = Field(("pcmu", "pcma", "g722", "opus"), min_length=1)
    rtp_ports: tuple[Port, Port] = Field((10000, 20000), description="First and last RTP port.")
    rtp_timeout_s: int = Field(20, ge=2, le=600, description="A caller silent on the wire this long is gone.")

    @field_validator("allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)
        return value


class CallSettings(Section):
    max_calls: int = Field(20, ge=1, le=200, description="Calls at once, over every transport.")
    max_duration_s: int = Field(3600, ge=10, le=86400)
    idle_prompt_s: float = Field(12.0, ge=2, le=600, description="Silence before 'Are you still there?'.")
    idle_prompts: int = Field(2, ge=0, le=10, description="How often to ask before saying goodbye.")
    end_deadline_s: float = Field(8.0, ge=1, le=60, description="Longest a call may take to end.")
    drain_s: float = Field(30.0, ge=0, le=3600, description="How long SIGTERM lets calls go on.")


class SttSettings(Section):
    model: str = Field("base", description="A bundled name, a folder, or a hub name such as 'small'.")
    device: Device = "auto"
    compute_type: str = Field("auto", description="CTranslate2's: auto, int8, float16, int8_float16, ...")
    threads: int = Field(0, ge=0, le=64, description="0 uses all cores.")


class TtsSettings(Section):
    voice: str | None = Field(None, description="A Piper voice or .onnx file; the persona's by default.")
    device: Device = "auto"
    threads: int = Field(0, ge=0, le=64)


class LlmSettings(Section):
    url: str | None = Field(None, description="An OpenAI-compatible endpoint, e.g. http://localhost:11434/v1.")
    model: str = Field("llama3.2", description="Asked of Ollama or of the endpoint at llm.url.")
    api_key: SecretStr | None = None
    temperature: float = Field(0.2, ge=0, le=2)
    max_tokens: int = Field(160, ge=8, le=4096)
    num_ctx: int = Field(4096, ge=512, le=131072)
    threads: int = Field(0, ge=0, le=64)
    tools: Literal["auto", "on", "off"] = Field(
        "auto", description="auto offers tools to every model but the bundled one, too small for them."
    )
    first_token_timeout_s: float = Field(8.0, ge=0.5, le=120)


class TurnSettings(Section):
    min_silence_ms: int = Field(200, ge=80, le=2000, description="Wait after a surely finished sentence.")
    max_silence_ms: int = Field(1200, ge=200, le=5000, description="Wait after a surely unfinished one.")
    speculate: bool = Field(True, description="Work on the answer before the turn is surely over.")
    barge_in: bool = True
    barge_in_min_ms: int = Field(300, ge=0, le=3000, description="Speech this long interrupts for good.")
    barge_in_min_words: int = Field(1, ge=1, le=10)
    echo_guard: bool = Field(True, description="Ignore the agent's own voice coming back.")
    filler: str | None = Field(None, description="Said when the answer takes long, e.g. 'One moment.'")
    filler_after_ms: int = Field(1500, ge=300, le=10000)


class HttpSettings(Section):
    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 8080
    api_key: SecretStr | None = Field(None, description="Required when host isn't a loopback address.")
    tls: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None


class WebRtcSettings(Section):
    enabled: bool = True
    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    turn_secret: SecretStr | None = Field(None, description="coturn's static-auth-secret.")
    turn_ttl_s: int = Field(3600, ge=60, le=86400)
    gone_s: float = Field(12.0, ge=2, le=60, description="A silent browser is gone after this long.")


class CarrierCredentials(Section):
    account: str = ""
    secret: SecretStr | None = None


class CarrierSettings(Section):
    enabled: tuple[Literal["twilio", "telnyx", "plivo", "exotel", "vonage", "genesys"], ...] = ()
    public_url: str | None = Field(None, description="https://... under which carriers reach this server.")
    twilio: CarrierCredentials = CarrierCredentials()
    telnyx: CarrierCredentials = CarrierCredentials()
    plivo: CarrierCredentials = CarrierCredentials()
    exotel: CarrierCredentials = CarrierCredentials()
    vonage: CarrierCredentials = CarrierCredentials()
    genesys: CarrierCredentials = CarrierCredentials()


class Settings(Section):
    """The whole tree. `Settings()` is a server that works."""

    persona: str = Field("en", description="A file under config/personas/ by name, or a path.")
    cache_dir: Path = Field(Path("~/.cache/offhook"), description="Joined and downloaded weights.")
    log: LogSettings = LogSettings()
    sip: SipSettings = SipSettings()
    call: CallSettings = CallSettings()
    stt: SttSettings = SttSettings()
    tts: TtsSettings = TtsSettings()
    llm: LlmSettings = LlmSettings()
    turn: TurnSettings = TurnSettings()
    http: HttpSettings = HttpSettings()
    webrtc: WebRtcSettings = WebRtcSettings()
    carriers: CarrierSettings = CarrierSettings()
