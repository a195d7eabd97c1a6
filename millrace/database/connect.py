"""Opening connections to the database file with the settings that the promises rest on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

# FULL: a commit returns when the log is on the disk. The rest is for speed: fewer, larger checkpoints; a page cache
# that holds the working set of a busy queue; freed content is wiped only where that costs no extra page.
_SETTINGS = """
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 67108864;
PRAGMA cache_size = -16384;
PRAGMA temp_store = MEMORY;
PRAGMA secure_delete = FAST;
"""
_STATEMENTS = 512  # prepared statements kept: each verb has one per power of two of rows


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun by whoever needs one. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
    )
    try:
        connection.executescript(_SETTINGS)
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA busy_timeout = 5000")
    except BaseException:
        connection.close()
        raise
    return connection
