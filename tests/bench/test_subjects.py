"""What is started to be measured: with which settings, and that nobody else's server hears of it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import subjects
from bench.caller.script import Transport
from bench.subjects import OffhookApart, OffhookServer, Running, StockBot, Subject
from config.settings import Settings
from config.sources import load

OPERATORS: dict[str, Any] = {
    "records": {"url_file": "postgres"},
    "recordings": {"enabled": True, "folder": "recordings"},
    "webhook": {"url": "http://192.0.2.7/hook", "calls": True},
    "telemetry": {"otlp_endpoint": "http://192.0.2.7:4318"},
    "cluster": {"enabled": True, "url": "http://192.0.2.7:8080", "key_file": "key"},
    "call": {"max_calls": 2, "max_per_source": 1},
    "sip": {
        "enabled": False,
        "users": ["reception"],
        "allow": ["192.0.2.0/24"],
        "tls_cert": "cert.pem",
        "tls_key": "key.pem",
        "media_encryption": "required",
        "accounts": {
            "desk": {"server": "sip.example.com", "user": "100", "secret_file": "key", "transport": "tls"},
            "trunk": {"server": "192.0.2.9", "user": "200", "registers": False, "proxy": "192.0.2.8"},
        },
    },
    "routes": [{"account": "desk", "persona": "en"}],
    "http": {"api_key_file": "key", "tls": True, "tls_cert": "cert.pem", "tls_key": "key.pem"},
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An operator's settings, in which as much as can be is in the way of the bench."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("postgres", "postgresql://u:p@192.0.2.7/calls"), ("key", "k" * 32)):
        (tmp_path / name).write_text(text)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(OPERATORS))
    return tmp_path / "settings.yaml"


class Started:
    """Takes the place of processes, which then aren't started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.command: list[str] = []
        self.environment: dict[str, str] = {}
        self.log = Path()
        monkeypatch.setattr(subjects, "process", self.process)
        monkeypatch.setattr(subjects, "_ready", self.ready)

    @contextlib.asynccontextmanager
    async def process(
        self, command: list[str], environment: dict[str, str], log: Path
    ) -> AsyncIterator[None]:
        self.command, self.environment, self.log = command, environment, log
        yield

    async def ready(self, *_: object) -> None:
        """At once."""

    async def by(self, subject: Subject, *transports: Transport) -> Running:
        async with subject.running("default", transports or ("sip",)) as running:
            return running

    def settings(self, config: Path | None, monkeypatch: pytest.MonkeyPatch) -> Settings:
        """Those that its process has."""
        with monkeypatch.context() as its:
            its.setattr("os.environ", self.environment)
            return load(config, {}).settings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    return Started(monkeypatch)


async def test_a_server_of_the_bench_keeps_away_from_the_operators(
    config: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    await started.by(OffhookServer(config))
    settings = started.settings(config, monkeypatch)
    folder = settings.state_dir
    assert settings.records.url is not None
    assert settings.records.url.get_secret_value() == f"sqlite:///{folder}/calls.db"
    assert settings.recordings.folder == folder / "recordings"
    assert (settings.webhook.calls, settings.cluster.enabled) == (False, False)
    assert settings.telemetry.otlp_endpoint is None
    for account in settings.sip.accounts.values():
        assert (account.registers, account.networks) == (False, ("192.0.2.1/32",))


async def test_its_callers_get_through_whatever_is_set(
    config: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await started.by(OffhookServer(config, calls=30), "sip", "twilio")
    settings = started.settings(config, monkeypatch)
    sip, http = settings.sip, settings.http
    assert (sip.enabled, sip.users, sip.over_tls, sip.media_encryption) == (True, (), False, "optional")
    assert (sip.allow, settings.call.max_calls, settings.call.max_per_source) == (("127.0.0.0/8",), 30, None)
    assert (http.enabled, http.tls) == (True, False)
    assert http.api_key is not None
    assert running.headers == {"Authorization": f"Bearer {http.api_key.get_secret_value()}"}


async def test_what_the_environment_has_of_the_operator_is_not_handed_on(
    tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key = tmp_path / "key"
    key.write_text("k" * 32)
    monkeypatch.setenv("OFFHOOK_RECORDS__URL_FILE", str(key))
    monkeypatch.setenv("OFFHOOK_HTTP__API_KEY_FILE", str(key))
    monkeypatch.setenv("OFFHOOK_SIP__ACCOUNTS__DESK__SERVER", "sip.example.com")
    monkeypatch.setenv("OFFHOOK_SIP__ACCOUNTS__DESK__USER", "100")
    key.write_text("postgresql://u:p@192.0.2.7/offhook")
    await started.by(OffhookServer(None))
    settings = started.settings(None, monkeypatch)
    assert settings.records.url is not None
    assert settings.records.url.get_secret_value().startswith("sqlite:///")
    assert settings.sip.accounts["desk"].server == "192.0.2.1"


async def test_a_node_without_models_has_a_log_of_its_own(tmp_path: Path, started: Started) -> None:
    logs = []
    for subject in (OffhookServer(None, keep=tmp_path), OffhookApart(None, keep=tmp_path)):
        await started.by(subject)
        logs.append(started.log.name)
    assert logs == ["server-default.log", "server-apart-default.log"]


async def test_plain_pipecat_has_the_settings_of_what_it_is_compared_with(
    tmp_path: Path, started: Started
) -> None:
    await started.by(StockBot("timeout", tmp_path / "a.yaml"))
    at = started.command.index("--config")
    assert started.command[at + 1] == str(tmp_path / "a.yaml")


async def test_plain_pipecat_takes_the_weights_that_the_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.stock import bot

    class Found(Exception):
        pass

    def find(settings: Settings, _: object) -> bot.Weights:
        raise Found(settings.stt.model, settings.llm.model)

    (tmp_path / "a.yaml").write_text("stt: {model: base}\n")
    monkeypatch.setenv("OFFHOOK_LLM__MODEL", "qwen3")
    monkeypatch.setattr(bot.Weights, "find", find)
    with pytest.raises(Found) as found:
        await bot.serve(argparse.Namespace(config=tmp_path / "a.yaml", persona="en"))
    assert found.value.args == ("base", "qwen3")
