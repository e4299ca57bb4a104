"""What `offhook doctor` looks at. Whatever else it should look at is one more function in `CHECKS`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

import agent
from agent import surroundings
from agent.surroundings import Finding, Verdict
from config.answering import load_personas
from config.errors import ConfigError
from config.packages import require_one_onnxruntime
from config.ports import require_free
from config.settings import Settings
from models import cuda
from models.capacity import available_memory_bytes, usable_cores
from models.errors import ModelError
from models.nvml import NoGpu, Nvml
from models.placement import Placement

_NEEDED_BYTES = 2_500_000_000  # with the default models
_NAMED = 5  # packages
_SERVERS_S = 60.0


Check = Callable[[Settings], Iterable[Finding]]


def examine(settings: Settings, *, gpu: bool = False) -> Iterator[Finding]:
    for check in (*CHECKS, *(GPU_CHECKS if gpu else ())):
        try:
            yield from check(settings)
        except ImportError as error:  # of a package that the check on packages has named
            yield Finding(check.__name__.replace("_", " "), "fail", str(error), "make clean install")


def python(_: Settings) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Finding("Python", "pass" if fits else "fail", found, "" if fits else "Install 3.11, 3.12 or 3.13.")


def packages(_: Settings) -> Iterator[Finding]:
    try:
        needed = [Requirement(one) for one in requires("offhook") or ()]
    except PackageNotFoundError:
        yield Finding("packages", "fail", "offhook isn't installed, but run from its source.", "make install")
        return
    wrong, count = [], 0
    for one in needed:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            count += 1
            found = _version(one.name)
            if found is None or not one.specifier.contains(found, prereleases=True):
                wrong.append(f"{one.name} {found or 'is missing'}")
    if wrong:
        yield Finding(
            "packages", "fail", f"Not what offhook needs: {', '.join(wrong)}.", "make clean install"
        )
        return
    pins = Path(str(agent.__file__)).parents[1] / "constraints.txt"
    other = list(_not_as_tested(pins)) if pins.is_file() else []
    if other:
        more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        yield Finding(
            "packages", "warn", f"Not as tested: {', '.join(other[:_NAMED])}{more}.", "make clean install"
        )
    else:
        yield Finding("packages", "pass", f"The {count} that offhook needs are here.")


def onnxruntime(_: Settings) -> Iterator[Finding]:
    name = "ONNX Runtime"
    try:
        require_one_onnxruntime()
    except ConfigError as error:
        yield Finding(name, "fail", str(error))
        return
    installed = next((one for one in ("onnxruntime", "onnxruntime-gpu") if _version(one)), None)
    try:
        import onnxruntime

        providers = ", ".join(
            one.removesuffix("ExecutionProvider") for one in onnxruntime.get_available_providers()
        )
    except (ImportError, AttributeError) as error:  # what is left of a folder has no names in it
        detail = f"{installed or 'onnxruntime'} can't be imported: {error}"
        yield Finding(name, "fail", detail, "make clean install")
        return
    yield Finding(name, "pass", f"{installed} {onnxruntime.__version__}, which knows {providers}.")


def ports(settings: Settings) -> Iterator[Finding]:
    sip, http = settings.sip, settings.http
    wanted = [("sip", sip.host, sip.port, "udp"), ("sip", sip.host, sip.port, "tcp")] if sip.enabled else []
    wanted += [("sip", sip.host, sip.tls_port, "tcp")] if sip.enabled and sip.over_tls else []
    wanted += [("http", http.host, http.port, "tcp")] if http.enabled else []
    for section, host, port, kind in wanted:
        name = f"{section.upper()} port"
        try:
            require_free(section, host, port, "udp" if kind == "udp" else "tcp")
        except ConfigError as error:
            yield Finding(name, "fail", str(error))
        else:
            yield Finding(name, "pass", f"{kind.upper()} {port} on {host} is free.")


def encryption(settings: Settings) -> Iterator[Finding]:
    """What encrypts SIP and its media; WebRTC and HTTPS have Python's."""
    from transports.sip.native_tls import openssl_version

    if not settings.sip.enabled:
        return
    found = openssl_version()
    detail = f"{found}, in baresip-python's package."
    if found.startswith("OpenSSL 1."):
        more = "No longer kept by OpenSSL's project, so fixes come with baresip-python alone."
        yield Finding("SIP encryption", "warn", f"{detail} {more}", "docs/sip.md, Encryption")
    else:
        yield Finding("SIP encryption", "pass", detail)


def machine(_: Settings) -> Iterator[Finding]:
    memory, cores = available_memory_bytes(), usable_cores()
    if memory is None:
        yield Finding("machine", "warn", f"{cores} cores; how much memory is available can't be told.")
        return
    detail = f"{cores} cores, {memory / 1e9:.1f} GB of memory available"
    if memory < _NEEDED_BYTES:
        remedy = "A smaller language model: make install MIND=small"
        yield Finding("machine", "warn", f"{detail}; the default models take 2.3.", remedy)
    else:
        yield Finding("machine", "pass", f"{detail}.")


def weights(settings: Settings) -> Iterator[Finding]:
    """The weights, and on what each would run."""
    from models import kokoro
    from models.catalog import Catalog
    from models.ctranslate import precision
    from models.devices import Devices
    from models.pool import speech_model
    from models.voices import names_in

    catalog, devices = Catalog(settings.cache_dir), Devices()
    personas = load_personas(settings).all
    name = speech_model(settings, [persona.language for persona in personas], catalog)
    try:
        size = (catalog.whisper(name) / "model.bin").stat().st_size
        placement = devices.whisper(settings.stt.device, size)
        kind = precision(placement.device, settings.stt.compute_type)
        yield _placed("speech-to-text", f"Whisper {name} ({kind})", placement)
    except ModelError as error:
        yield Finding("speech-to-text", "warn" if settings.stt.url else "fail", str(error))
    for choice in dict.fromkeys(persona.voice for persona in personas):
        lost = []
        for voice in names_in(choice):
            place, path = devices.piper, None
            try:
                if voice in kokoro.NAMES:
                    place, path = devices.kokoro, catalog.kokoro()
                else:
                    path = catalog.voice(voice)
                if path is None:
                    lost.append(f"{voice} needs Kokoro; fetch it: offhook models pull kokoro-82m")
                    continue
                placement = place(settings.tts.device, path.stat().st_size)
            except ModelError as error:
                lost.append(str(error))
                continue
            yield _placed("text-to-speech", voice, placement)
            break
        else:
            yield Finding("text-to-speech", "warn" if settings.tts.url else "fail", " Or: ".join(lost))
    minds = [
        entry.name
        for entry in catalog.entries()
        if entry.kind == "language model" and entry.state in ("ready", "not unpacked")
    ]
    if minds:
        yield Finding("language model", "pass", f"Bundled ones that are here: {', '.join(minds)}.")
    else:
        detail = "No bundled one is here: Ollama or what llm.url names has to answer."
        yield Finding("language model", "warn", detail, "make install")
    yield Finding("voice activity", "pass", "silero on cpu, always.")


def driver(_: Settings) -> Iterator[Finding]:
    try:
        gpu = Nvml().gpu()
    except NoGpu as error:
        yield Finding("GPU", "warn", f"{error} offhook serves on the processor.", "Install NVIDIA's driver.")
    else:
        memory = "" if gpu.memory_bytes is None else f", {gpu.memory_bytes / 1e9:.1f} GB"
        newest = ".".join(map(str, gpu.cuda))
        yield Finding("GPU", "pass", f"{gpu.name}{memory}, driver {gpu.driver}, which knows CUDA {newest}.")


def libraries(_: Settings) -> Iterator[Finding]:
    yield _loaded(cuda.DRIVER, "warn", "It comes with NVIDIA's driver.")
    # Without the set they are only missed; of the set, one that is missing is damage.
    verdict: Verdict = "fail" if cuda.installed() else "warn"
    for library in (*cuda.FOR_CTRANSLATE2, *cuda.FOR_ONNXRUNTIME):
        yield _loaded(library, verdict, cuda.INSTALL)


def servers(settings: Settings) -> Iterator[Finding]:
    """Language models on servers, loaded as `offhook serve` would."""
    from models.llm.language_model import Llm

    async def look() -> list[Finding]:
        llm = Llm(settings.llm, weights=None, max_calls=settings.call.wanted or 1)
        try:
            async with asyncio.timeout(_SERVERS_S):
                remotes = await llm.start_remote()
            return [
                Finding("language model", "warn" if one.wanted and one.state != "ready" else "pass", one.why)
                for one in remotes
            ]
        except TimeoutError:
            late = f"{settings.llm.model} isn't loaded after {_SERVERS_S:.0f} s; it is still being."
            return [Finding("language model", "warn", late)]
        finally:
            await llm.close()

    yield from asyncio.run(look())


CHECKS: tuple[Check, ...] = (
    python,
    packages,
    surroundings.clashes,
    onnxruntime,
    ports,
    encryption,
    surroundings.https,
    machine,
    surroundings.descriptors,
    surroundings.clock,
    surroundings.disks,
    surroundings.database,
    weights,
    surroundings.sums,
    servers,
)
GPU_CHECKS: tuple[Check, ...] = (driver, libraries)


def _placed(name: str, model: str, placement: Placement) -> Finding:
    detail = f"{model} on {placement.device}. {placement.warning or placement.why}"
    return Finding(name, "warn" if placement.warning else "pass", detail)


def _loaded(library: cuda.Library, verdict: Verdict, remedy: str) -> Finding:
    try:
        found = cuda.load(library)
    except OSError as error:
        words = str(error).removeprefix(f"{library.soname}: ")
        return Finding(library.soname, verdict, f"It can't be loaded: {words}.", remedy)
    whose = f"{library.package} {found.version}" if found.version else "the system's"
    return Finding(library.soname, "pass", f"{whose}, {found.path}")


def _not_as_tested(pins: Path) -> Iterator[str]:
    for line in pins.read_text().splitlines():
        name, _, pinned = line.partition("#")[0].partition(";")[0].strip().partition("==")
        found = _version(name) if pinned else None
        if found is not None and found != pinned:
            yield f"{name} {found}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
