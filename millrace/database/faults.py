"""SQLite's errors in millrace's words: what is wrong with the file, and what to do about it."""

from __future__ import annotations

import shlex
import sqlite3
import sys
from pathlib import Path

from millrace.errors import (
    StorageBusy,
    StorageDamaged,
    StorageError,
    StorageFull,
    StorageReadOnly,
)

_PRIMARY = 0xFF  # an extended result code carries its family in the lowest byte


def translate(error: sqlite3.Error, path: Path) -> StorageError:
    """The StorageError that tells a reader what SQLite said about the database at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    match code:
        case sqlite3.SQLITE_FULL:
            return full(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return busy(path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return read_only(path, str(error))
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error))
        case _:
            return StorageError(f"{path}: {error}", "look at the disk (dmesg, df) and try again")


def full(path: Path) -> StorageFull:
    """No space for another page of the file or its log."""
    return StorageFull(
        f"{path}: no space left on the disk",
        f"free some space in {path.parent}; what was accepted before is still there",
    )


def busy(path: Path) -> StorageBusy:
    """Another process kept the write lock."""
    return StorageBusy(
        f"{path}: another process holds the database",
        f"`fuser {path}` names it; a backup or an open sqlite3 shell with a transaction does this",
    )


def read_only(path: Path, said: str) -> StorageReadOnly:
    """The file, or the folder that must hold its log beside it, cannot be written."""
    return StorageReadOnly(
        f"{path}: {said}", f"give this user the right to write the file and its folder {path.parent}"
    )


def damaged(path: Path, said: str) -> StorageDamaged:
    """The file is not what SQLite wrote."""
    old, saved = shlex.quote(str(path)), shlex.quote(f"{path}.saved")
    return StorageDamaged(
        f"{path}: the database is damaged ({said.strip().splitlines()[-1]})",
        "stop every millrace on it, keep a copy of it with its -wal file, and save what can be read:\n"
        f"    {shlex.quote(sys.executable)} -m millrace.database.salvage {old} {saved} &&\n"
        f"    mv {old} {old}.damaged && rm -f {old}-wal {old}-shm && mv {saved} {old}",
    )


def newer(path: Path, found: int, known: int) -> StorageError:
    """The file was made by a later millrace."""
    return StorageError(
        f"{path}: schema version {found}, this millrace knows up to {known}",
        "install the millrace that made it, or a later one",
    )


def closed(path: Path) -> StorageError:
    """The database was closed in this process."""
    return StorageError(f"{path}: the database is closed", "open it again")
