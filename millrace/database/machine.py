"""Broker time: seconds that all processes of one machine agree on and that no jump of the wall clock moves.

It is the machine's monotonic clock plus an offset chosen once a boot, so that it reads about like Unix time. The
offset lies in the database with the boot's id. After a reboot the monotonic clock starts anew: the offset is anchored
to the wall clock again, but never behind what broker time had reached before.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import msgspec

from millrace.clock import Clock

_READ = "SELECT value FROM meta WHERE key = 'anchor'"
_WRITE = "INSERT INTO meta (key, value) VALUES ('anchor', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_LINUX_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Anchor(msgspec.Struct, frozen=True):
    """What is stored: which boot, its offset, and the highest broker time that is known to have been shown."""

    boot: str
    offset_s: float
    reached_s: float


def boot_id() -> str:
    """What distinguishes this boot of the machine from the last; elsewhere than on Linux, the minute it began."""
    try:
        return _LINUX_BOOT_ID.read_text().strip()
    except OSError:
        return f"since-{round((time.time() - time.monotonic()) / 60)}"


def anchor(connection: sqlite3.Connection, clock: Clock, boot: str) -> float:
    """The offset of broker time for this boot, read or (in the caller's transaction) chosen and stored."""
    found = connection.execute(_READ).fetchone()
    known = msgspec.json.decode(found[0], type=Anchor) if found else Anchor("", 0.0, 0.0)
    monotonic_s = clock.monotonic()
    offset_s = known.offset_s if known.boot == boot else max(clock.now(), known.reached_s) - monotonic_s
    remember(connection, Anchor(boot, offset_s, max(known.reached_s, monotonic_s + offset_s)))
    return offset_s


def remember(connection: sqlite3.Connection, value: Anchor) -> None:
    """Store an anchor."""
    connection.execute(_WRITE, (msgspec.json.encode(value).decode(),))
