"""Bookmarks: one row per mark, so that a snapshot of many objects is changed and not rewritten."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from millrace.store import Bookmarks
from millrace.stores.postgres.link import Link
from millrace.stores.postgres.texts import restored, stored

_LOAD = sql.SQL("SELECT mark, value FROM bookmarks WHERE source = %(source)s")
_FORGET = sql.SQL("DELETE FROM bookmarks WHERE source = %(source)s AND mark = ANY(%(gone)s::text[])")
_SET = sql.SQL("""
INSERT INTO bookmarks (source, mark, value)
SELECT %(source)s, mark, value FROM unnest(%(marks)s::text[], %(values)b::bytea[]) AS kept (mark, value) ORDER BY mark
ON CONFLICT (source, mark) DO UPDATE SET value = excluded.value
""")


class PostgresBookmarks(Bookmarks):
    """Where each source was when it stopped."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def load(self, source: str) -> dict[str, bytes]:
        found = await self._link.rows(_LOAD, {"source": stored(source)})
        return {restored(mark): bytes(value) for mark, value in found}

    async def save(self, source: str, marks: Mapping[str, bytes | None]) -> None:
        kept = {stored(mark): value for mark, value in marks.items() if value is not None}
        gone = [stored(mark) for mark, value in marks.items() if value is None]
        mine = {"source": stored(source)}
        await self._link.together(
            (_FORGET, mine | {"gone": gone}),
            (_SET, mine | {"marks": list(kept), "values": list(kept.values())}),
        )
