"""One function over many items, in threads that begin before anybody waits for it."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from millrace.replica.contract import failure_of
from millrace.replica.output import Work, working
from millrace.types import Failure


class Each:
    """`call` on each item of one batch: results in order, failures by index.

    Threads draw the next index from one counter, so that an item costs no hand-over between threads and a slow one
    holds up only its own thread.
    """

    def __init__(self, call: Callable[[Any], Any], items: Sequence[Any], ids: Sequence[str], request_id: str) -> None:
        self.results: list[Any] = [None] * len(items)
        self.failures: dict[int, Failure] = {}
        self._call = call
        self._items = items
        self._ids = ids
        self._request_id = request_id
        self._next = itertools.count()
        self._threads = 0
        self._lock = threading.Lock()
        self._done = threading.Event()

    def begin(self, pool: ThreadPoolExecutor, threads: int) -> None:
        """Hand the batch to the pool; returns at once."""
        self._threads = min(threads, len(self._items))
        for _ in range(self._threads):
            pool.submit(self._thread)
        if not self._threads:
            self._done.set()

    def wait(self) -> None:
        """Return when every item is done."""
        self._done.wait()

    def work(self) -> None:
        """Do items in this thread until none is left to begin."""
        call, items, results, size = self._call, self._items, self.results, len(self._items)
        token = working.set(working.get())
        for index in self._next:
            if index >= size:
                break
            working.set(Work(self._request_id, (self._ids[index],)))
            try:
                results[index] = call(items[index])
            except BaseException as error:  # SystemExit of one item, too, is that item's failure
                self.failures[index] = failure_of(error)
        sys.stdout.flush()  # what was printed without a newline must not run into the next batch's lines
        working.reset(token)

    def _thread(self) -> None:
        self.work()
        with self._lock:
            self._threads -= 1
            last = not self._threads
        if last:
            self._done.set()
