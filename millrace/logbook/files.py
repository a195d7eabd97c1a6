"""A function's log files: `name.jsonl`, `name.jsonl.1` (older), `.2`, ..., and the lock that rotations take."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def path_of(folder: Path, function: str) -> Path:
    """The file of a function's log; raises ValueError for a name that is none (it could lead out of the folder)."""
    if not _NAME.fullmatch(function):
        raise ValueError(f"{function!r} is not a function's name: letters, digits, '_', '-' and '.'")
    return folder / f"{function}.jsonl"


def older(path: Path, number: int) -> Path:
    """The file that was rotated away so many times ago; 0 is the one that is written."""
    return path.with_name(f"{path.name}.{number}") if number else path


@contextlib.contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
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
