"""The table port on DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from millrace.store import Change, Table
from millrace.stores.dynamodb import layout
from millrace.stores.dynamodb.client import AT_ONCE, Client, Fault
from millrace.stores.dynamodb.pages import Pages
from millrace.types import Row

_MOST_ROWS, _MOST_BYTES = 100, 4_000_000  # of a transaction. DynamoDB API reference, "TransactWriteItems"
_MISSING = "ConditionalCheckFailedException"


class DynamoTable(Table):
    """Rows of one table. They take part in no commit: who commits writes them before it.

    Keys have up to 1,023 bytes, rows up to 400 KB; there is no change stream.
    """

    joins = False

    def __init__(self, client: Client, name: str, key: str) -> None:
        self.name = name
        self.key = key
        self._client = client
        self._at = {"TableName": client.address.table}

    async def put(self, rows: Sequence[Row]) -> None:
        """Insert or replace rows, all or none up to 100 rows and 4 MB.

        More go in several transactions in their order, and a failure between two leaves the first ones written: putting
        the same again completes it. Raises TooLarge before anything is written, StorageError.
        """
        last = {row.key: row for row in rows}
        items = {key: layout.item(row) for key, row in last.items()}
        try:
            for part in _parts(list(last.values())):
                if len(part) == 1:
                    await self._client.call("put_item", **self._at, Item=items[part[0].key])
                else:
                    puts = [{"Put": {**self._at, "Item": items[row.key]}} for row in part]
                    await self._client.call("transact_write_items", TransactItems=puts)
        except Fault as fault:
            raise self._client.told("put rows", fault) from fault

    async def get(self, key: str) -> bytes | None:
        try:
            answer = await self._client.call("get_item", **self._at, Key=layout.place(key), ConsistentRead=True)
        except Fault as fault:
            raise self._client.told("get a row", fault) from fault
        return layout.value(answer["Item"]) if "Item" in answer else None

    async def delete(self, keys: Sequence[str]) -> int:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(key: str) -> bool:
            async with gate:
                return await self._delete(key)

        return sum(await asyncio.gather(*(one(key) for key in dict.fromkeys(keys))))

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> list[Row]:
        pages = [Pages(self._client, bucket, after, limit) for bucket in layout.names()]
        found: list[Row] = []
        while len(found) < limit:
            await asyncio.gather(*(each.fill() for each in pages))
            if (first := min((each for each in pages if each.rest), key=_first_key, default=None)) is None:
                break
            found.append(layout.row(self.name, first.rest.popleft()))
        return found

    async def changes(self, *, after: int, limit: int = 1000, wait_s: float = 0.0) -> list[Change]:
        return []

    async def close(self) -> None:
        await self._client.close()

    async def _delete(self, key: str) -> bool:
        there = {"ConditionExpression": "attribute_exists(#k)", "ExpressionAttributeNames": layout.NAMED}
        try:
            await self._client.call("delete_item", **self._at, Key=layout.place(key), **there)
        except Fault as fault:
            if fault.code == _MISSING:
                return False
            raise self._client.told("delete a row", fault) from fault
        return True


def _first_key(pages: Pages) -> str:
    key: str = pages.rest[0]["key"]["S"]
    return key


def _parts(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows that are written together."""
    part: list[Row] = []
    held = 0
    for row in rows:
        size = layout.size(row)
        if part and (len(part) == _MOST_ROWS or held + size > _MOST_BYTES):
            yield part
            part, held = [], 0
        part.append(row)
        held += size
    if part:
        yield part
