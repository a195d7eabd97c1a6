"""Files on their way into a queue: readers yield items lazily, a Feeder puts them page by page and can go on later."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

from millrace.feeds.checkpoint import Checkpoints
from millrace.feeds.delimited import DelimitedReader
from millrace.feeds.feeder import Feeder, Progress
from millrace.feeds.folder import FolderReader
from millrace.feeds.item import MAX_ITEM_BYTES, Bad, Cursor, FeedError, Item, Reader
from millrace.feeds.lines import LineReader, NdjsonReader
from millrace.feeds.parquet import ParquetReader

Format = Literal["csv", "tsv", "ndjson", "text", "parquet", "folder"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".txt": "text",
    ".parquet": "parquet",
}

__all__ = [
    "MAX_ITEM_BYTES", "Bad", "Checkpoints", "Cursor", "FeedError", "Feeder", "Format", "Item", "Progress", "Reader",
    "format_of", "open_reader",
]  # fmt: skip


def format_of(path: Path) -> Format:
    """What a path holds, by its name; raises FeedError when the name does not say."""
    if path.is_dir():
        return "folder"
    if not path.exists():
        raise FeedError(f"{path}: no such file or folder")
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_SUFFIXES)
        hint = f"say which it is with --format ({', '.join(get_args(Format))})"
        raise FeedError(f"{path}: expected a folder or a file named {known}", hint) from None


def open_reader(path: Path, format: str | None = None, *, max_bytes: int = MAX_ITEM_BYTES) -> Reader:
    """The reader for a file or folder; nothing is read yet. Raises FeedError."""
    known = format_of(path) if format is None else cast(Format, format)
    match known:
        case "csv":
            return DelimitedReader(path, max_bytes=max_bytes)
        case "tsv":
            return DelimitedReader(path, delimiter="\t", max_bytes=max_bytes)
        case "ndjson":
            return NdjsonReader(path, max_bytes=max_bytes)
        case "text":
            return LineReader(path, max_bytes=max_bytes)
        case "parquet":
            return ParquetReader(path, max_bytes=max_bytes)
        case "folder":
            return FolderReader(path, max_bytes=max_bytes)
    raise FeedError(f"no format {format!r}: expected one of {', '.join(get_args(Format))}")
