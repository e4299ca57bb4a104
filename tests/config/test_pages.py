"""The folder from which a persona answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import pages
from config.errors import ConfigError
from config.pages import Page
from config.persona import load_persona

PERSONA = """
name: Ann
voice: x
greeting: Hi.
prompt: Be brief.
goodbye: Bye.
idle_prompts: [Hello]
apology: Sorry.
knowledge: {knowledge}
"""


def persona(folder: Path, knowledge: str = "pages") -> Path:
    file = folder / "ann.yaml"
    file.write_text(PERSONA.format(knowledge=knowledge))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pages"
    (made / "more").mkdir(parents=True)
    (made / "b.md").write_text("# B")
    (made / "more" / "a.TXT").write_text("Ä")
    (made / "picture.png").write_bytes(b"\xff")
    (made / ".hidden.md").write_text("No.")
    return made


def test_it_stands_beside_the_personas_file(tmp_path: Path, folder: Path) -> None:
    for path in ("pages", "./pages", str(folder)):
        knowledge = load_persona(str(persona(tmp_path, path))).knowledge
        assert knowledge is not None
        assert knowledge.pages == (Page("b", "# B"), Page("more/a", "Ä", markdown=False))


def test_a_mark_that_windows_begins_files_with_is_none_of_the_text(tmp_path: Path, folder: Path) -> None:
    (folder / "b.md").write_text("# B", encoding="utf-8-sig")
    knowledge = load_persona(str(persona(tmp_path))).knowledge
    assert knowledge is not None
    assert knowledge.pages[0].text == "# B"


def test_a_page_that_changed_makes_another_persona(tmp_path: Path, folder: Path) -> None:
    file = str(persona(tmp_path))
    before = load_persona(file)
    assert load_persona(file) == before
    (folder / "b.md").write_text("# C")
    assert load_persona(file) != before


def test_it_is_told_where_it_is_as_text(tmp_path: Path, folder: Path) -> None:
    dumped = load_persona(str(persona(tmp_path))).model_dump(mode="json")
    assert dumped["knowledge"] == str(folder)


def error(file: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load_persona(str(file))
    return str(raised.value)


def test_what_is_wrong_with_it_is_said(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = persona(tmp_path)
    begins = f"knowledge in the persona file {file}"
    assert error(persona(tmp_path, "nowhere")) == f"{begins} is {tmp_path}/nowhere, which isn't a folder."
    assert error(persona(tmp_path, "[a]")) == f"{begins} must be the path of a folder."
    persona(tmp_path)
    monkeypatch.setattr(pages, "MAX_BYTES", 4)
    assert error(file) == f"{begins} is {folder}, whose pages are 5 bytes; they may be 4 together."
    monkeypatch.setattr(pages, "MAX_FILE_BYTES", 2)
    assert error(file) == f"{begins} has {folder}/b.md, of 3 bytes; a page may have 2."
    monkeypatch.setattr(pages, "MAX_FILES", 1)
    assert error(file) == f"{begins} is {folder}, which has 2 pages; it may have 1."
    (folder / "b.md").write_bytes(b"\xff")
    (folder / "more" / "a.TXT").unlink()
    assert error(file) == f"{begins} has a page: {folder}/b.md isn't UTF-8 text."
    (folder / "b.md").unlink()
    assert error(file) == f"{begins} is {folder}, which has no page in it: no .md and no .txt file."
