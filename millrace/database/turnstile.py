"""Fairness between processes: a busy one must not take the write lock again before another that waits for it.

SQLite lets waiting processes poll, and whoever commits and begins again at once wins against every poll. So a
process that found the lock taken closes the turnstile, an advisory lock on a file beside the database, until it has
its turn; everyone passes the turnstile before a transaction. The lock goes with a process that dies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Turnstile:
    """An advisory lock on a file; a no-op where the system has none."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def pass_through(self) -> None:
        """Wait until nobody waits for a turn."""
        if sys.platform != "win32":
            fcntl.flock(self._file, fcntl.LOCK_SH)
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Keep everyone else before the turnstile."""
        if sys.platform != "win32":
            fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if sys.platform != "win32":
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
