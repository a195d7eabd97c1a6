"""Reads one function's entries in order, across rotations, and goes on where it stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from millrace.logbook.entry import Entry, Members, parse
from millrace.logbook.files import locked, older


class Reader:
    """The records of one function's files, oldest first; each call of `new` gives what was appended since."""

    def __init__(self, path: Path, files: int) -> None:
        self._path = path
        self._files = files
        self._inode = 0
        self._offset = 0

    def new(self) -> Iterator[Entry | Members]:
        """What was appended since the last call, oldest first."""
        with contextlib.ExitStack() as opened:
            for file in [opened.enter_context(file) for file in self._open()]:
                yield from self._records(file)

    def _open(self) -> list[BinaryIO]:
        """The files from the one read last on, oldest first; all of them when that one is gone."""
        with locked(self._path, fcntl.LOCK_SH):  # a rotation between two opens would hide a file
            found: list[BinaryIO] = []
            for number in range(self._files):
                with contextlib.suppress(FileNotFoundError):
                    found.append(older(self._path, number).open("rb"))
                    if os.fstat(found[-1].fileno()).st_ino == self._inode:
                        break
        return found[::-1]

    def _records(self, file: BinaryIO) -> Iterator[Entry | Members]:
        status = os.fstat(file.fileno())
        if status.st_ino != self._inode or status.st_size < self._offset:
            self._inode, self._offset = status.st_ino, 0
        file.seek(self._offset)
        for line in file:
            if not line.endswith(b"\n"):
                return  # half an entry: the rest comes with the next call
            self._offset += len(line)
            if record := parse(line):
                yield record


class About:
    """Chooses the entries about one message or one request; None chooses all."""

    def __init__(self, id: str | None) -> None:
        self._id = id
        self._requests = {id}

    def choose(self, records: Iterator[Entry | Members]) -> Iterator[Entry]:
        """Those of some records that are about it."""
        for record in records:
            if isinstance(record, Members):
                if self._id in record.members:
                    self._requests.add(record.request_id)
            elif self._id is None or self._id in record.message_ids or record.request_id in self._requests:
                yield record
