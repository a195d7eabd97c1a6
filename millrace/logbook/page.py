"""Writes one function's entries and rotates its files by size."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from millrace.logbook.entry import Entry, Members, encode
from millrace.logbook.files import locked, older

_INLINE_IDS = 16


class Page:
    """The file of one function that is being written."""

    def __init__(self, path: Path, max_bytes: int, files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._fd = -1
        self._request_id = ""

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries in one append, then rotate if that made the file too big."""
        self._open()
        data = b"".join(self._lines(entries))
        os.write(self._fd, data)
        if os.fstat(self._fd).st_size >= self._max_bytes:
            self._rotate()

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lines(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        for entry in entries:
            if len(entry.message_ids) > _INLINE_IDS:
                if entry.request_id != self._request_id:
                    self._request_id = entry.request_id
                    members = Members(entry.ts, entry.function, entry.request_id, entry.message_ids)
                    yield encode(members) + b"\n"
                entry = msgspec.structs.replace(entry, message_ids=())
            yield encode(entry) + b"\n"

    def _open(self) -> None:
        """Have the file that now bears the name: another process may have rotated ours away."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                    return
            self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.with_suffix(".lock").touch(0o640)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        self._request_id = ""

    def _rotate(self) -> None:
        with locked(self._path, fcntl.LOCK_EX), contextlib.suppress(FileNotFoundError):
            if os.stat(self._path).st_size >= self._max_bytes:  # unless another process was faster
                self._shift()

    def _shift(self) -> None:
        for number in range(self._files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(older(self._path, number - 1), older(self._path, number))
