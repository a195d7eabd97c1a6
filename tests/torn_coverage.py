"""A plugin of pytest: before coverage is put together, what processes left that were killed while they wrote it goes.

Tests kill processes with SIGKILL, and coverage warns of each file that it cannot read, in this run and all later ones.
Only what ends too soon goes: a file of other contents is still told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

_MAGIC = b"SQLite format 3\0"


@pytest.hookimpl(wrapper=True, trylast=True)  # the innermost: pytest-cov's own goes on when this has ended
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    ran = yield
    if not hasattr(session.config, "workerinput"):  # the processes of other workers still write
        drop(session.config.rootpath)
    return ran


def drop(folder: Path) -> None:
    """Remove the torn data files of a folder."""
    for path in folder.glob(".coverage.*"):
        if is_torn(path):
            path.unlink(missing_ok=True)


def is_torn(path: Path) -> bool:
    """Whether a data file ends before its first row: coverage writes the version of its tables first of all."""
    head = path.read_bytes()[: len(_MAGIC)]
    if head != _MAGIC[: len(head)]:
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            return file.execute("select version from coverage_schema").fetchone() is None
    except sqlite3.DatabaseError:
        return True
