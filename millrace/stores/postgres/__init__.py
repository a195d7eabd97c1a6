"""Tables, results, bookmarks and the ledger in PostgreSQL, for fleets: one commit is one statement there."""

from __future__ import annotations

from millrace.stores.postgres.store import PostgresStore, open_postgres

__all__ = ["PostgresStore", "open_postgres"]
