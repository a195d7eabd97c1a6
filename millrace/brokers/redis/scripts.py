"""The Lua scripts beside this file: each is the parts that it names behind it and its own text, known by their hash."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

import msgspec

_FOLDER = Path(__file__).parent / "scripts"


class Script(msgspec.Struct, frozen=True):
    """A script as the server gets it; `hash` is its SHA-1 in hex, by which EVALSHA knows it."""

    text: str
    hash: str


def _script(name: str, *parts: str) -> Script:
    """The flags (`#!lua ...`) must stay the first line."""
    flags, own = (_FOLDER / f"{name}.lua").read_text().split("\n", 1)
    text = "\n".join([flags, *((_FOLDER / f"{part}.lua").read_text() for part in parts), own])
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_ENTRIES = ("keys", "fifo", "entries")
DECLARE = _script("declare", "keys")
DROP = _script("drop", "keys")
PUT = _script("put", "keys")
TAKE = _script("take", *_ENTRIES, "reading")
DUE = _script("due", *_ENTRIES, "reading")
SETTLE = _script("settle", *_ENTRIES)
EXTEND = _script("extend", *_ENTRIES)
STANDING = _script("standing", *_ENTRIES)
STATS = _script("stats", "keys")
PEEK = _script("peek", *_ENTRIES, "choosing")
MOVE = _script("move", *_ENTRIES, "choosing")
PURGE = _script("purge", *_ENTRIES, "choosing")
TIDY = _script("tidy", "keys")
