"""What is asked of NVIDIA's driver, of the dynamic linker, and of both libraries that run the models."""

from __future__ import annotations

import warnings
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pynvml
import pytest

from models import cuda
from models.devices import Devices
from models.errors import ModelError
from models.nvml import Gpu, NoGpu, Nvml
from models.onnx_session import session
from models.placement import Placement

GPU_SET = any(distribution.name == "onnxruntime-gpu" for distribution in distributions())


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine with an L4, as far as the driver tells."""
    told = SimpleNamespace(memory=SimpleNamespace(total=24_000_000_000, free=20_000_000_000), cuda=13000)

    def memory(_: object) -> object:
        if told.memory is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        return told.memory

    for name, answer in {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetName": lambda _: "NVIDIA L4",
        "nvmlSystemGetDriverVersion": lambda: "580.95.05",
        "nvmlSystemGetCudaDriverVersion": lambda: told.cuda,
        "nvmlDeviceGetMemoryInfo": memory,
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=7),
    }.items():
        monkeypatch.setattr(pynvml, name, answer)
    monkeypatch.setattr(cuda, "missing", lambda _: [])
    return told


def raised(error: Exception) -> Any:
    def ask() -> None:
        raise error

    return ask


def test_the_gpu_is_what_the_driver_says(driver: SimpleNamespace) -> None:
    assert Nvml({}).gpu() == Gpu("NVIDIA L4", "580.95.05", (13, 0), 24_000_000_000, 20_000_000_000, 7)
    driver.memory = None  # of a part of a divided GPU
    gpu = Nvml({"CUDA_VISIBLE_DEVICES": "MIG-1,MIG-2"}).gpu()
    assert (gpu.memory_bytes, gpu.used_bytes) == (None, None)


@pytest.mark.usefixtures("driver")
def test_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoGpu, match="CUDA_VISIBLE_DEVICES hides every GPU"):
        Nvml({"CUDA_VISIBLE_DEVICES": ""})
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 0)
    with pytest.raises(NoGpu, match="finds no GPU"):
        Nvml({})
    monkeypatch.setattr(pynvml, "nvmlInit", raised(pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)))
    with pytest.raises(NoGpu, match=r"no NVIDIA driver: libnvidia-ml\.so\.1 isn't found"):
        Nvml({})
    monkeypatch.setattr(pynvml, "nvmlInit", raised(pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)))
    with pytest.raises(NoGpu, match="driver doesn't answer: Driver Not Loaded"):
        Nvml({})


def test_both_libraries_can_use_it(driver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    devices = Devices()
    placed = [devices.whisper("auto"), devices.piper("auto"), devices.kokoro("auto"), devices.piper("cuda")]
    assert [placement.device for placement in placed] == ["cuda", "cpu", "cuda", "cuda"]
    driver.cuda = 12040
    devices = Devices()
    assert devices.whisper("auto").device == "cuda"
    assert "needs CUDA 13, and NVIDIA's driver 580.95.05 knows 12.4" in (devices.kokoro("auto").warning or "")


@pytest.mark.usefixtures("driver")
def test_libraries_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cuda, "missing", lambda wanted: [one for one in wanted if one.soname == "libcublas.so.12"]
    )
    with pytest.raises(ModelError, match=r"needs libcublas\.so\.12; .*: make install GPU=1"):
        Devices().whisper("cuda")
    monkeypatch.setattr(cuda, "missing", lambda wanted: [one for one in wanted if one == cuda.DRIVER])
    with pytest.raises(ModelError, match=r"libcuda\.so\.1.*NVIDIA_DRIVER_CAPABILITIES=compute,utility"):
        Devices().whisper("cuda")


@pytest.mark.usefixtures("driver")
def test_an_onnxruntime_without_cuda_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "This onnxruntime has no CUDA; " in (Devices().kokoro("auto").warning or "")


def test_a_model_that_fails_on_the_gpu_goes_to_the_processor_unless_the_gpu_is_demanded() -> None:
    def load(device: str) -> str:
        if device == "cuda":
            raise ModelError("It has no memory left.")
        return device

    devices = Devices()
    assert devices.load(Placement("stt.device", "cuda", ""), load) == "cpu"
    assert devices.notes == {"stt.device": "The GPU isn't used: It has no memory left."}
    with pytest.raises(ModelError, match="no memory left"):
        devices.load(Placement("stt.device", "cuda", "", demanded=True), load)


@pytest.mark.skipif(not GPU_SET, reason="onnxruntime-gpu isn't installed")
def test_what_a_gpu_needs_is_found_without_the_system() -> None:
    assert "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    for library in (*cuda.FOR_CTRANSLATE2, *cuda.FOR_ONNXRUNTIME):
        found = cuda.load(library)
        assert found.path.name == library.soname
        assert "site-packages" in found.path.parts
        assert found.version


@pytest.mark.skipif(GPU_SET, reason="onnxruntime-gpu is installed")
def test_what_isnt_installed_is_missing() -> None:
    assert not cuda.installed()
    assert cuda.Library("libcublas.so.12", "nvidia-cublas-cu12") in cuda.missing(cuda.FOR_CTRANSLATE2)


def test_a_library_of_the_system_has_a_place() -> None:
    found = cuda.load(cuda.Library("libz.so.1", "no-such-package"))
    assert found.version is None
    assert found.path.is_file()


def test_a_session_isnt_silently_moved_to_the_processor() -> None:
    if Devices().gpu() is not None:
        pytest.skip("there is a GPU")
    model = (files("pipecat.audio.vad.data") / "silero_vad.onnx").read_bytes()
    assert session(model, device="cpu", threads=1).get_providers() == ["CPUExecutionProvider"]
    warnings.simplefilter("ignore")  # one without CUDA warns of the provider's name
    with pytest.raises(ModelError, match="couldn't start CUDA"):
        session(model, device="cuda", threads=1)


def test_where_the_linker_found_it(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 fe:00 1    /usr/lib/libcuda.so.580.95\n7f02-7f03 rw-p 0 0:0 0\n")
    assert cuda._mapped("libcuda.so.1", maps) == Path("/usr/lib/libcuda.so.580.95")
    assert cuda._mapped("libother.so.1", maps) == Path("libother.so.1")
