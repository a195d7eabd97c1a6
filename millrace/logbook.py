"""What functions print and log, as JSON lines in `<folder>/<function>.jsonl`, rotated by size.

write → a thread that writes all that is waiting at once → `name.jsonl`, `name.jsonl.1` (older), `.2`, ... → read

Several processes may write one file: each entry goes out in one append, and the rotation is under a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

MAX_BYTES = 10_000_000
FILES = 5
_INLINE_IDS = 16
_MAX_WAITING = 100_000
_POLL_S = 0.2
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LEVELS = {"stdout": "INFO", "stderr": "ERROR"}


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: `ts` is Unix seconds, `stream` is stdout, stderr or log, `pid` the replica's."""

    ts: float
    level: str
    function: str
    stream: str
    text: str
    request_id: str = ""
    message_ids: tuple[str, ...] = ()
    pid: int = 0


class _Members(msgspec.Struct, frozen=True):
    """The messages of a big batch, written once before its first line: a line has only the request id."""

    ts: float
    function: str
    request_id: str
    members: tuple[str, ...]


class Said(Protocol):
    """A line as a replica sends it (`wire.Line`)."""

    @property
    def stream(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def message_ids(self) -> tuple[str, ...]: ...
    @property
    def at(self) -> float: ...
    @property
    def pid(self) -> int: ...


_encode = msgspec.json.Encoder().encode
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_members = msgspec.json.Decoder(_Members).decode


class LogBook:
    """The logs of a project's functions; writing never blocks and never fails the caller."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES, files: int = FILES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files = files
        self._inbox: queue.SimpleQueue[Entry | threading.Event | None] = queue.SimpleQueue()
        self._dropped = 0
        self._pages: dict[str, _Page] = {}
        self._thread: threading.Thread | None = None

    def writer(self, function: str) -> Callable[[Said], None]:
        """What a function's replicas tell their lines."""
        path_of(self._folder, function)

        def write(line: Said) -> None:
            known = line.stream in _LEVELS
            level, stream = (_LEVELS[line.stream], line.stream) if known else (line.stream, "log")
            self.write(Entry(line.at, level, function, stream, line.text, line.request_id, line.message_ids, line.pid))

        return write

    def write(self, entry: Entry) -> None:
        """Put an entry on its way to disk; beyond 100,000 waiting entries they are dropped and counted."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="logbook", daemon=True)
            self._thread.start()
        if self._inbox.qsize() >= _MAX_WAITING:
            self._dropped += 1
            return
        self._inbox.put(entry)

    def flush(self) -> None:
        """Return when everything written so far is in the files."""
        if self._thread is not None:
            done = threading.Event()
            self._inbox.put(done)
            done.wait()

    def close(self) -> None:
        """Write what waits and let go of the files; harmless when repeated."""
        if self._thread is not None:
            self._inbox.put(None)
            self._thread.join()
            self._thread = None

    def read(self, function: str | None = None, id: str | None = None, *, follow: bool = False) -> Iterator[Entry]:
        """Entries in order of time, of one function or all, about one message or request id or all.

        With `follow` it goes on with what any process appends, and never ends.
        """
        readers = {name: _Reader(self._folder / f"{name}.jsonl", self._files) for name in self._names(function)}
        about = _About(id)
        yield from heapq.merge(*(about.choose(reader.new()) for reader in readers.values()), key=lambda entry: entry.ts)
        while follow:
            for name in self._names(function):
                readers.setdefault(name, _Reader(self._folder / f"{name}.jsonl", self._files))
            fresh = [entry for reader in readers.values() for entry in about.choose(reader.new())]
            yield from sorted(fresh, key=lambda entry: entry.ts)
            if not fresh:
                time.sleep(_POLL_S)

    def _names(self, function: str | None) -> list[str]:
        if function is not None:
            return [path_of(self._folder, function).stem]
        return sorted({path.name.partition(".jsonl")[0] for path in self._folder.glob("*.jsonl*")})

    def _write_all(self) -> None:
        while True:
            waiting = [self._inbox.get()]
            while not self._inbox.empty():
                waiting.append(self._inbox.get())
            entries = [item for item in waiting if isinstance(item, Entry)]
            for function in dict.fromkeys(entry.function for entry in entries):
                self._append(function, [entry for entry in entries if entry.function == function])
            for item in waiting:
                if isinstance(item, threading.Event):
                    item.set()
            if None in waiting:
                break
        for page in self._pages.values():
            page.close()
        self._pages.clear()

    def _append(self, function: str, entries: Sequence[Entry]) -> None:
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            text = f"{lost} lines were dropped: they came faster than the disk takes them"
            entries = [*entries, Entry(time.time(), "WARNING", function, "log", text)]
        page = self._pages.get(function)
        if page is None:
            path = path_of(self._folder, function)
            page = self._pages[function] = _Page(path, self._max_bytes, self._files)
        # A full disk must not stop the function; the queue's own writes are what reports it.
        with contextlib.suppress(OSError):
            page.append(entries)


class _Page:
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
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lines(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        for entry in entries:
            if len(entry.message_ids) > _INLINE_IDS:
                if entry.request_id != self._request_id:
                    self._request_id = entry.request_id
                    members = _Members(entry.ts, entry.function, entry.request_id, entry.message_ids)
                    yield _encode(members) + b"\n"
                entry = msgspec.structs.replace(entry, message_ids=())
            yield _encode(entry) + b"\n"

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
        with _locked(self._path, fcntl.LOCK_EX), contextlib.suppress(FileNotFoundError):
            if os.stat(self._path).st_size >= self._max_bytes:  # unless another process was faster
                self._shift()

    def _shift(self) -> None:
        for number in range(self._files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(_older(self._path, number - 1), _older(self._path, number))


class _About:
    """Chooses the entries about one message or one request; None chooses all."""

    def __init__(self, id: str | None) -> None:
        self._id = id
        self._requests = {id}

    def choose(self, records: Iterator[Entry | _Members]) -> Iterator[Entry]:
        for record in records:
            if isinstance(record, _Members):
                if self._id in record.members:
                    self._requests.add(record.request_id)
            elif self._id is None or self._id in record.message_ids or record.request_id in self._requests:
                yield record


class _Reader:
    """The records of one function's files, oldest first; each call of `new` gives what was appended since."""

    def __init__(self, path: Path, files: int) -> None:
        self._path = path
        self._files = files
        self._inode = 0
        self._offset = 0

    def new(self) -> Iterator[Entry | _Members]:
        with contextlib.ExitStack() as opened:
            for file in [opened.enter_context(file) for file in self._open()]:
                yield from self._records(file)

    def _open(self) -> list[BinaryIO]:
        """The files from the one read last on, oldest first; all of them when that one is gone."""
        with _locked(self._path, fcntl.LOCK_SH):  # a rotation between two opens would hide a file
            found: list[BinaryIO] = []
            for number in range(self._files):
                with contextlib.suppress(FileNotFoundError):
                    found.append(_older(self._path, number).open("rb"))
                    if os.fstat(found[-1].fileno()).st_ino == self._inode:
                        break
        return found[::-1]

    def _records(self, file: BinaryIO) -> Iterator[Entry | _Members]:
        status = os.fstat(file.fileno())
        if status.st_ino != self._inode or status.st_size < self._offset:
            self._inode, self._offset = status.st_ino, 0
        file.seek(self._offset)
        for line in file:
            if not line.endswith(b"\n"):
                return  # half an entry: the rest comes with the next call
            self._offset += len(line)
            if record := _parse(line):
                yield record


def path_of(folder: Path, function: str) -> Path:
    """The file of a function's log; raises ValueError for a name that is none (it could lead out of the folder)."""
    if not _NAME.fullmatch(function):
        raise ValueError(f"{function!r} is not a function's name: letters, digits, '_', '-' and '.'")
    return folder / f"{function}.jsonl"


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Keep other rotations of this file out meanwhile; where nothing was written yet there is nothing to lock."""
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _parse(line: bytes) -> Entry | _Members | None:
    try:
        return _decode_entry(line)
    except msgspec.MsgspecError:
        pass
    try:
        return _decode_members(line)
    except msgspec.MsgspecError:
        return None  # cut off by a crash
