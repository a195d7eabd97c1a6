"""Ids: of messages, which sort by time; of a function's outputs, which are the same when it runs again.

They are text, made without asking anybody.
"""

from __future__ import annotations

import os
import time
from collections import deque
from hashlib import blake2b

_MAX_READABLE_ID = 160


def new_id() -> str:
    """A fresh message id: 48 bits of milliseconds, then 80 random bits, in hex.

    Ids that sort by time keep a B-tree of a million of them as fast as one of a thousand (RFC 9562, version 7).
    """
    return f"{time.time_ns() // 1_000_000:012x}{_random()}"


_pool: deque[str] = deque()
os.register_at_fork(after_in_child=_pool.clear)  # or parent and child would give the same ids


def _random() -> str:
    """80 random bits in hex, drawn from the system many at a time: each call there gives up the interpreter lock."""
    try:
        return _pool.popleft()
    except IndexError:
        fresh = os.urandom(10 * 256).hex()
        _pool.extend([fresh[start : start + 20] for start in range(20, len(fresh), 20)])
        return fresh[:20]


def new_uuid() -> str:
    """A fresh id as a UUID of version 7."""
    return uuid_of(new_id())


def uuid_of(id: str) -> str:
    """The UUID of version 7 whose digits are those of an id that `new_id` made, but for two that say its kind."""
    return f"{id[:8]}-{id[8:12]}-7{id[13:16]}-a{id[17:20]}-{id[20:]}"


def derived_id(source: str, function: str, index: int) -> str:
    """The id of a function's output: the same input gives the same id, so that a repeat overwrites or is dropped.

    It reads as a path (`input.function.0`); beyond 160 characters the path's tail is replaced by its hash.
    """
    path = f"{source}.{function}.{index}"
    if len(path) <= _MAX_READABLE_ID:
        return path
    return f"{path[:64]}.{blake2b(path.encode(), digest_size=16).hexdigest()}"
