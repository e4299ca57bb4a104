"""What the control plane answers, as documents."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from agent.http.contracts import (
    Account,
    Ban,
    ComponentHealth,
    Gpu,
    Llm,
    LlmEndpoint,
)
from agent.vitals import Vitals
from config.redaction import without_credentials

OverallState = Literal["ok", "starting", "degraded", "down"]


class Ready(BaseModel):
    ready: bool
    reasons: list[str] = Field([], examples=[["speech-to-text is loading.", "The models are still loading."]])
    degraded: list[str] = Field([], description="What isn't as it should be, and costs no call.")


class ComponentView(BaseModel):
    name: str = Field(examples=["speech-to-text"])
    state: str = Field(
        examples=["ready"], description="ready, degraded, loading, restarting, down, failed or off"
    )
    device: str | None = Field(None, examples=["cuda"])
    precision: str | None = Field(None, examples=["int8_float16"], description="Of its numbers.")
    weights_mb: float | None = Field(None, description="As they are on the disk.")
    model: str | None = Field(None, examples=["base"])
    last_error: str | None = None
    remedy: str | None = Field(None, description="What to do about it, where last_error doesn't say so.")
    note: str | None = Field(
        None, description="Why a GPU that is there isn't used, or what went wrong before."
    )
    queued: int = Field(0, description="Jobs that wait for this component.")

    @classmethod
    def of(cls, component: ComponentHealth) -> ComponentView:
        return cls(
            name=component.name,
            state=component.state,
            device=component.device,
            precision=component.precision,
            weights_mb=_mb(component.weights_bytes),
            note=component.note,
            model=component.model,
            last_error=component.last_error and without_credentials(component.last_error),
            queued=component.queued,
            remedy=component.remedy,
        )


class LlmEndpointView(BaseModel):
    kind: str = Field(examples=["ollama"])
    model: str = Field(examples=["llama3.2:latest"])
    url: str = Field(examples=["http://127.0.0.1:11434"])
    state: str = Field(examples=["ready"], description="ready, loading, restarting or down")
    device: str = Field("", examples=["gpu"])
    last_error: str | None = None

    @classmethod
    def of(cls, endpoint: LlmEndpoint) -> LlmEndpointView:
        return cls(
            kind=endpoint.kind,
            model=endpoint.model,
            url=without_credentials(endpoint.url),
            state=endpoint.state,
            device=endpoint.device,
            last_error=endpoint.last_error and without_credentials(endpoint.last_error),
        )


class GpuView(BaseModel):
    name: str = Field(examples=["NVIDIA L4"])
    driver: str = Field(examples=["580.95.05"])
    memory_mb: float | None
    used_mb: float | None = Field(description="By all programs, and what the driver keeps for itself.")
    utilisation: int | None = Field(description="Percent of the last second in which something ran.")

    @classmethod
    def of(cls, gpu: Gpu) -> GpuView:
        return cls(
            name=gpu.name,
            driver=gpu.driver,
            memory_mb=_mb(gpu.memory_bytes),
            used_mb=_mb(gpu.used_bytes),
            utilisation=gpu.utilisation,
        )


class LlmView(BaseModel):
    kind: str = Field(examples=["ollama"])
    model: str = Field(examples=["llama3.2:latest"])
    url: str = Field(examples=["http://127.0.0.1:11434"])
    why: str = Field(examples=["Ollama at http://127.0.0.1:11434 has llama3.2:latest."])
    endpoints: list[LlmEndpointView] = Field(description="Who may answer, the best first.")

    @classmethod
    def of(cls, llm: Llm) -> LlmView:
        now = llm.endpoint
        return cls(
            kind=now.kind,
            model=now.model,
            url=without_credentials(now.url),
            why=without_credentials(llm.why),
            endpoints=[LlmEndpointView.of(endpoint) for endpoint in llm.endpoints],
        )


class ProcessView(BaseModel):
    uptime_s: float
    cpu_s: float = Field(description="Processor time of all threads since the start.")
    memory_mb: float = Field(description="Resident; the bundled language model's process not counted.")
    threads: int
    open_files: int
    tasks: int = Field(description="Of the event loop.")
    loop_lag_p99_ms: float | None = Field(
        None, description="How late the event loop woke sleepers in the last ten seconds."
    )

    @classmethod
    def of(cls, vitals: Vitals) -> ProcessView:
        lag = vitals.loop_lag_p99_ms
        return cls(
            uptime_s=round(vitals.uptime_s, 1),
            cpu_s=round(vitals.cpu_s, 3),
            memory_mb=round(vitals.memory_mb, 2),
            threads=vitals.threads,
            open_files=vitals.open_files,
            tasks=vitals.tasks,
            loop_lag_p99_ms=rounded(lag),
        )


class BanView(BaseModel):
    address: str = Field(examples=["192.0.2.9"], description="Or a network, where it is IPv6.")
    why: str = Field(examples=["it is a scanner"])
    seconds_left: float

    @classmethod
    def of(cls, ban: Ban) -> BanView:
        return cls(address=ban.address, why=ban.why, seconds_left=round(ban.seconds_left, 1))


class AccountView(BaseModel):
    name: str = Field(examples=["provider"], description="As in sip.accounts.")
    server: str = Field(examples=["sip.example.com"])
    state: str = Field(
        examples=["registered"],
        description="registering, registered, failed, or trunk: not to register",
    )
    expires_in_s: float | None = Field(description="Until when calls come here, unless it is refreshed.")
    last_error: str | None = None

    @classmethod
    def of(cls, account: Account) -> AccountView:
        expires = account.expires_in_s
        return cls(
            name=account.name,
            server=account.server,
            state=account.state,
            expires_in_s=None if expires is None else round(expires, 1),
            last_error=account.last_error,
        )


class Health(BaseModel):
    status: OverallState
    accepting: bool = Field(description="Whether a new call would be answered.")
    reason: str = Field("", description="Why not, if not.")
    calls: int = Field(description="Live calls.")
    max_calls: int = Field(description="That are taken at once.")
    capacity: str = Field(description="Why so many.", examples=["12 calls at once (call.max_calls)."])
    llm: LlmView | None = Field(None, description="Which language model was chosen, and why.")
    components: list[ComponentView]
    accounts: list[AccountView] = Field([], description="Of the SIP line, at providers and PBXs.")
    banned: list[BanView] = Field([], description="Addresses that the SIP line ignores.")
    gpu: GpuView | None = Field(None, description="Null where there is none that may be used.")
    process: ProcessView


class Draining(BaseModel):
    draining: bool
    calls: int = Field(description="Live calls.")


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _mb(size: int | None) -> float | None:
    return None if size is None else round(size / 1e6, 1)
