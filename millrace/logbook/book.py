"""The logs of all functions: a queue in front of one writing thread, and reading in order of time."""

from __future__ import annotations

import contextlib
import heapq
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from millrace.logbook.entry import Entry, Said
from millrace.logbook.files import path_of
from millrace.logbook.page import Page
from millrace.logbook.reader import About, Reader

MAX_BYTES = 10_000_000
FILES = 5
_MAX_WAITING = 100_000
_POLL_S = 0.2
_LEVELS = {"stdout": "INFO", "stderr": "ERROR"}


class LogBook:
    """The logs of a project's functions; writing never blocks and never fails the caller."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES, files: int = FILES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files = files
        self._inbox: queue.SimpleQueue[Entry | threading.Event | None] = queue.SimpleQueue()
        self._dropped = 0
        self._pages: dict[str, Page] = {}
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
        readers = {name: Reader(self._folder / f"{name}.jsonl", self._files) for name in self._names(function)}
        about = About(id)
        yield from heapq.merge(*(about.choose(reader.new()) for reader in readers.values()), key=lambda entry: entry.ts)
        while follow:
            for name in self._names(function):
                readers.setdefault(name, Reader(self._folder / f"{name}.jsonl", self._files))
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
            page = self._pages[function] = Page(path, self._max_bytes, self._files)
        # A full disk must not stop the function; the queue's own writes are what reports it.
        with contextlib.suppress(OSError):
            page.append(entries)
