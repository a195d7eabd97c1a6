"""Tables, results and bookmarks in the embedded database, beside the queue: one commit covers them all."""

from __future__ import annotations

from millrace.stores.sqlite.bookmarks import SqliteBookmarks
from millrace.stores.sqlite.ledger import SqliteLedger
from millrace.stores.sqlite.results import SqliteResults
from millrace.stores.sqlite.tables import SqliteTable, SqliteTables

__all__ = ["SqliteBookmarks", "SqliteLedger", "SqliteResults", "SqliteTable", "SqliteTables"]
