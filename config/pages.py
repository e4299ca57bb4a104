"""The pages from which a persona answers: a folder of Markdown and plain text, read whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from config.errors import ConfigError
from config.files import read_text

SUFFIXES = (".md", ".txt")
# They are kept in memory, and read by a model at the first start with them, for some 10 ms a passage.
MAX_FILES = 500
MAX_FILE_BYTES = 500_000
MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class Page:
    """`name` is its file's, within the folder and without the suffix."""

    name: str
    text: str
    markdown: bool = True


@dataclass(frozen=True)
class Pages:
    folder: Path
    pages: tuple[Page, ...] = field(repr=False)


def read_pages(folder: Path) -> Pages:
    """What the folder and those in it hold; hidden files are left out. Raises ValueError."""
    if not folder.is_dir():
        raise ValueError(f"is {folder}, which isn't a folder")
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    if not files:
        raise ValueError(f"is {folder}, which has no page in it: no .md and no .txt file")
    if len(files) > MAX_FILES:
        raise ValueError(f"is {folder}, which has {len(files)} pages; it may have {MAX_FILES}")
    sizes = {file: file.stat().st_size for file in files}
    if too_long := next((file for file, size in sizes.items() if size > MAX_FILE_BYTES), None):
        raise ValueError(f"has {too_long}, of {sizes[too_long]} bytes; a page may have {MAX_FILE_BYTES}")
    if (size := sum(sizes.values())) > MAX_BYTES:
        raise ValueError(f"is {folder}, whose pages are {size} bytes; they may be {MAX_BYTES} together")
    return Pages(folder, tuple(_page(file, folder) for file in files))


def _page(file: Path, folder: Path) -> Page:
    try:
        text = read_text(file, "has a page:")
    except ConfigError as error:
        raise ValueError(str(error).rstrip(".")) from None
    name = file.relative_to(folder).with_suffix("").as_posix()
    return Page(name, text, markdown=file.suffix.lower() == ".md")


def _validated(value: Any, info: ValidationInfo) -> Pages:
    """Of a path, which is taken from where the persona's file is."""
    if isinstance(value, Pages):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be the path of a folder")
    beside = (info.context or {}).get("folder", Path())
    return read_pages(beside / Path(value.strip()).expanduser())


Knowledge = Annotated[
    Pages, PlainValidator(_validated), PlainSerializer(lambda pages: str(pages.folder), return_type=str)
]
