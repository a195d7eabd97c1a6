"""Where a feed stopped: a small file in the project's state folder, replaced after every durable put.

Losing it costs time, not duplicates: an item that is sent again carries the same id.
"""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from pathlib import Path

import msgspec

from millrace.feeds.item import Cursor, Reader


class Checkpoint(msgspec.Struct, frozen=True):
    """How far one source was fed into one queue; `run` grows with each feed from the beginning by --again."""

    queue: str
    source: str
    cursor: Cursor
    fingerprint: str
    run: int = 0
    done: bool = False


class Checkpoints:
    """The checkpoints of a project, one file for each pair of queue and source."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, queue: str, source: Path) -> Checkpoint | None:
        """The last one saved; None when there is none or it cannot be read."""
        try:
            found = json.loads(self._path(queue, str(source)).read_bytes())
            return msgspec.convert(found, Checkpoint)
        except (FileNotFoundError, ValueError):
            return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the last one as a whole: a reader sees the old or the new."""
        path = self._path(checkpoint.queue, checkpoint.source)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        # json writes names that are no UTF-8 as escapes and reads them again, which msgspec does not.
        fresh.write_text(json.dumps(msgspec.to_builtins(checkpoint)))
        fresh.replace(path)

    def _path(self, queue: str, source: str) -> Path:
        name = blake2b(f"{queue}\n{source}".encode(errors="surrogateescape"), digest_size=12).hexdigest()
        return self._folder / f"{name}.json"


def usable(checkpoint: Checkpoint, reader: Reader) -> bool:
    """Whether what was fed still stands as it was, so that reading may go on behind it."""
    return reader.fingerprint(checkpoint.cursor) == checkpoint.fingerprint
