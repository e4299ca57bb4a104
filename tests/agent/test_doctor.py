"""What the doctor finds, on a machine that can be any."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent import doctor
from agent.cli import app
from agent.doctor import examine
from agent.surroundings import Finding
from config.settings import HttpSettings, Settings
from config.sip import SipSettings
from models import cuda
from models.nvml import Gpu, NoGpu
from tests.weights import CACHE, require_weights
from transports.sip.native_tls import openssl_version

GPU = Gpu("NVIDIA L4", "580.95.05", (13, 0), 24_000_000_000, 20_000_000_000, 0)


def verdicts(findings: Iterator[Finding]) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in findings}


def test_this_environment_is_as_it_was_tested() -> None:
    found = [*doctor.python(Settings()), *doctor.packages(Settings()), *doctor.onnxruntime(Settings())]
    assert [finding.verdict for finding in found] == ["pass", "pass", "pass"]
    assert "knows" in found[2].detail


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("OpenSSL 1.1.1k  FIPS 25 Mar 2021", "warn"), ("OpenSSL 3.5.1 1 Jul 2025", "pass")],
)
def test_the_openssl_of_sip_is_named(version: str, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.sip.native_tls.openssl_version", lambda: version)
    (found,) = doctor.encryption(Settings())
    assert found.verdict == verdict
    assert version in found.detail
    assert not list(doctor.encryption(Settings(sip=SipSettings(enabled=False))))


def test_what_the_stack_encrypts_with_is_an_openssl() -> None:
    assert openssl_version().startswith("OpenSSL ")


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["here>=2", "old>=2", "gone", 'windows; sys_platform == "win32"', 'extra; extra == "x"']
    installed = {"here": "2.0", "old": "1.0"}
    monkeypatch.setattr(doctor, "requires", lambda _: needed)
    monkeypatch.setattr(doctor, "_version", installed.get)
    (found,) = doctor.packages(Settings())
    assert found.verdict == "fail"
    assert found.detail == "Not what offhook needs: old 1.0, gone is missing."


def test_versions_that_werent_tested_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", {"a": "1.0", "b": "1.5"}.get)
    pins = tmp_path / "constraints.txt"
    pins.write_text('# pins\na==1.0\nb==1.0; python_version >= "3"\nc==1.0\n')
    assert list(doctor._not_as_tested(pins)) == ["b 1.5"]


def test_run_from_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", requires)
    (found,) = doctor.packages(Settings())
    assert (found.verdict, found.remedy) == ("fail", "make install")


def test_a_port_that_is_taken_is_broken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        http = HttpSettings(port=taken.getsockname()[1])
        found = list(doctor.ports(Settings(sip=SipSettings(enabled=False), http=http)))
    assert [finding.verdict for finding in found] == ["fail"]
    assert "another program already uses TCP port" in found[0].detail


def test_little_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_memory_bytes", lambda: 1_000_000_000)
    (found,) = doctor.machine(Settings())
    assert (found.verdict, found.remedy) == ("warn", "A smaller language model: make install MIND=small")


@pytest.mark.models
def test_the_weights_and_what_each_runs_on() -> None:
    require_weights("tiny.en", "en_US-joe-medium")
    settings = Settings.model_validate(
        {"cache_dir": CACHE, "stt": {"model": "tiny.en", "device": "cpu"}, "tts": {"device": "cpu"}}
    )
    found = {finding.name: finding for finding in doctor.weights(settings)}
    assert {finding.verdict for name, finding in found.items() if name != "language model"} == {"pass"}
    assert found["speech-to-text"].detail == "Whisper tiny.en (int8) on cpu. stt.device is cpu."


def test_weights_that_are_missing_are_broken(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.weights(Settings(cache_dir=tmp_path))}
    assert found["speech-to-text"].verdict == found["text-to-speech"].verdict == "fail"
    assert found["language model"].verdict == "warn"


def test_a_gpu_that_is_demanded_and_missing_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    require_weights("tiny.en", "en_US-joe-medium")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = Settings.model_validate({"cache_dir": CACHE, "tts": {"device": "cuda"}})
    found = {finding.name: finding for finding in doctor.weights(settings)}
    assert found["speech-to-text"].verdict == "pass"
    assert found["text-to-speech"].verdict == "fail"
    assert "tts.device is cuda, which can't be had: CUDA_VISIBLE_DEVICES" in found["text-to-speech"].detail


def test_without_a_driver_offhook_serves_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "Nvml", raised(NoGpu("There is no NVIDIA driver.")))
    (found,) = doctor.driver(Settings())
    assert found.verdict == "warn"
    assert found.detail == "There is no NVIDIA driver. offhook serves on the processor."


def test_the_driver_and_its_gpu_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "Nvml", lambda: type("", (), {"gpu": lambda _: GPU})())
    (found,) = doctor.driver(Settings())
    assert found.detail == "NVIDIA L4, 24.0 GB, driver 580.95.05, which knows CUDA 13.0."


def test_a_library_of_the_set_that_cant_be_loaded_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "load", raised(OSError("libcuda.so.1: cannot open shared object file")))
    for installed, verdict in ((True, "fail"), (False, "warn")):
        monkeypatch.setattr(cuda, "installed", lambda installed=installed: installed)
        found = verdicts(doctor.libraries(Settings()))
        assert found.pop("libcuda.so.1") == "warn"
        assert set(found.values()) == {verdict}
        assert {"libcublas.so.12", "libcudnn.so.9"} <= set(found)


def test_a_check_whose_package_is_broken_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (raised(ImportError("No module named onnxruntime")),))
    monkeypatch.setattr(doctor.CHECKS[0], "__name__", "weights", raising=False)
    assert verdicts(examine(Settings())) == {"weights": "fail"}


def raised(error: Exception) -> Any:
    def ask(*_: object) -> Any:
        raise error

    return ask


def test_the_exit_code_says_whether_it_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("Python", "pass", "3.11"), Finding("GPU", "warn", "None [yet].", "Buy one.")]
    monkeypatch.setattr(doctor, "CHECKS", (lambda _: found,))
    ran = CliRunner().invoke(app, ["doctor"])
    assert ran.exit_code == 0
    assert [" ".join(line.split()) for line in ran.output.splitlines()] == [
        "pass Python 3.11",
        "warn GPU None [yet].",
        "→ Buy one.",
        "offhook can serve.",
    ]
    ran = CliRunner().invoke(app, ["doctor", "--json"])
    assert ran.exit_code == 0
    assert json.loads(ran.output) == {
        "can_serve": True,
        "findings": [
            {"name": "Python", "verdict": "pass", "detail": "3.11", "remedy": ""},
            {"name": "GPU", "verdict": "warn", "detail": "None [yet].", "remedy": "Buy one."},
        ],
    }
    found.append(Finding("packages", "fail", "They are gone."))
    ran = CliRunner().invoke(app, ["doctor"])
    assert ran.exit_code == 1
    assert ran.output.splitlines()[-1] == "offhook can't serve: 1 failed."
    ran = CliRunner().invoke(app, ["doctor", "--json"])
    assert ran.exit_code == 1
    assert json.loads(ran.output)["can_serve"] is False
