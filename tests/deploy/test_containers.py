"""What can be said of images and manifests where nothing runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.cli.serve import STOP_S
from config.keys import KEYS
from config.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "docker" / "compose.yaml"
MANIFESTS = [DEPLOY / "kubernetes" / name for name in ("nodes.yaml", "models.yaml")]
BIN = Path(sys.executable).parent


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def of_kind(kind: str, path: Path) -> Any:
    (found,) = (document for document in documents(path) if document["kind"] == kind)
    return found


def keys_of(variables: list[str]) -> set[str]:
    settings = (name for name in variables if name.startswith("OFFHOOK_"))
    return {name.removeprefix("OFFHOOK_").lower().replace("__", ".") for name in settings}


def test_the_image_has_all_that_a_wheel_is_made_of() -> None:
    kept = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    project = Path(DEPLOY.parent / "pyproject.toml").read_text()
    packages = project.partition("only-include = [")[2].partition("]")[0].replace('"', "").split(", ")
    assert {f"!{package}/" for package in packages} <= set(kept)


def test_the_image_takes_the_pip_that_knows_what_it_is_asked() -> None:
    """Python's own images have an older one: --group is of 25.1, --build-constraint of 25.3."""
    _, *stages = re.split(r"^FROM ", (DEPLOY / "docker" / "Dockerfile").read_text(), flags=re.MULTILINE)
    newer = [re.search(r"^[^#\n]*--(?:build-constraint|group)", stage, re.MULTILINE) for stage in stages]
    assert all(newer)
    for stage, first in zip(stages, newer, strict=True):
        assert first
        assert "--constraint constraints.txt --upgrade pip" in stage[: first.start()]


def test_compose_knows_what_is_asked_of_it() -> None:
    checked = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert checked.returncode == 0, checked.stdout
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name in ("offhook", "offhook-gpu"):
        assert keys_of(services[name]["environment"]) <= set(KEYS)
    for service in services.values():
        for volume in service.get("volumes", ()):
            path = volume.partition(":")[0]
            assert not path.startswith(".") or (COMPOSE.parent / path).exists()


@pytest.mark.parametrize("path", MANIFESTS, ids=[path.name for path in MANIFESTS])
def test_kubernetes_knows_what_is_asked_of_it(path: Path) -> None:
    checked = run("kubernetes-validate", "--strict", path)
    assert checked.returncode == 0, checked.stdout
    (container,) = of_kind("Deployment", path)["spec"]["template"]["spec"]["containers"]
    assert keys_of([variable["name"] for variable in container["env"]]) <= set(KEYS)


def test_pods_are_nodes_of_one_cluster() -> None:
    """What Kubernetes would put into the environment makes settings that hold together."""
    (nodes, _) = MANIFESTS
    (container,) = of_kind("Deployment", nodes)["spec"]["template"]["spec"]["containers"]
    known = {"status.hostIP": "10.0.0.7", "spec.nodeName": "berlin-2", "records-url": "postgresql://host/db"}
    environment: dict[str, str] = {}
    for one in container["env"]:
        source = one.get("valueFrom", {})
        asked = source.get("fieldRef", {}).get("fieldPath") or source.get("secretKeyRef", {}).get("key")
        value = known.get(asked, "a key that is long enough") if asked else one["value"]
        environment[one["name"]] = re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], value)
    written = yaml.safe_load(of_kind("ConfigMap", nodes)["data"]["offhook.yaml"])
    for name, value in environment.items():
        if name.startswith("OFFHOOK_"):
            section, key = name.removeprefix("OFFHOOK_").lower().split("__")
            written.setdefault(section, {})[key] = value
    settings = Settings.model_validate(written)
    assert (settings.records.node, str(settings.cluster.url)) == ("berlin-2", "http://10.0.0.7:8080")
    assert settings.cluster.enabled


def test_a_pod_sees_its_calls_out() -> None:
    (nodes, _) = MANIFESTS
    written = yaml.safe_load(of_kind("ConfigMap", nodes)["data"]["offhook.yaml"])
    written["http"]["api_key"] = "from the secret, as all keys"
    settings = Settings.model_validate(written)
    pod = of_kind("Deployment", nodes)["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= settings.call.drain_s + STOP_S + 10  # its preStop
    (metric,) = of_kind("HorizontalPodAutoscaler", nodes)["spec"]["metrics"]
    assert settings.call.wanted
    assert int(metric["pods"]["target"]["averageValue"]) < settings.call.wanted
