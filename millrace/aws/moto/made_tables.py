"""DynamoDB's tables that are made through the API: definitions read from moto, and made again in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any
from uuid import uuid4

from millrace.aws.endpoint.call import Call
from millrace.aws.moto.items import ItemMirror
from millrace.aws.moto.journal import Journal
from millrace.aws.moto.made import Places
from millrace.errors import ConfigError

_OWN = "dynamodb:"  # before the names of stores that a project's tables cannot have
_DATA = {
    *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"),
    *("TransactGetItems", "TransactWriteItems", "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"),
    *("DescribeTable", "ListTables"),
}


class MadeTables:
    """Tables of every region; their names are the item mirror's labels."""

    def __init__(self, account: str, mirror: ItemMirror, places: Places) -> None:
        self._account = account
        self._mirror = mirror
        self._places = places

    def may_change(self, call: Call) -> bool:
        """Every action but those on items, which are many."""
        return call.headers.get("x-amz-target", "").rpartition(".")[2] not in _DATA

    def names(self) -> set[str]:
        """All tables."""
        from moto.dynamodb.models import dynamodb_backends

        regions = dict.items(dynamodb_backends[self._account])
        return {self._mirror.label(region, name) for region, backend in regions for name in backend.tables}

    def describe(self, name: str, journal: Journal) -> dict[str, Any]:
        """What CreateTable, UpdateTable, UpdateTimeToLive and TagResource said; items that it began with are noted."""
        table = self._mirror.table(name)
        self._mirror.note_all(journal, name, table)
        stream = table.stream_specification or {}
        return {
            "create": {
                "schema": table.schema,
                "attr": table.attr,
                "billing_mode": table.billing_mode,
                "throughput": table.throughput,
                "warm_throughput": table.warm_throughput,
                "indexes": [index.describe() for index in table.indexes],
                "global_indexes": [index.describe() for index in table.global_indexes],
                "streams": stream if stream.get("StreamEnabled") else None,
                "sse_specification": table.sse_specification,
                "tags": table.tags,
                "deletion_protection_enabled": bool(table.deletion_protection_enabled),
            },
            "ttl": table.ttl,
            "stream_label": table.latest_stream_label,
        }

    def make(self, name: str, said: Mapping[str, Any]) -> None:
        """CreateTable, and what came after it; in a copy, since moto keeps and changes what it is given."""
        said = deepcopy(dict(said))
        region, table_name = self._mirror.place(name)
        from moto.dynamodb.models import dynamodb_backends

        table = dynamodb_backends[self._account][region].create_table(table_name, **said["create"])
        table.ttl = said["ttl"]
        table.latest_stream_label = said["stream_label"]

    def drop(self, name: str) -> None:
        """Take it out of moto."""
        from moto.dynamodb.models import dynamodb_backends

        region, table_name = self._mirror.place(name)
        dynamodb_backends[self._account][region].tables.pop(table_name, None)

    async def open(self, name: str, said: Mapping[str, Any], store: str) -> str:
        """Rows in the table of the same name, where a project could declare it so later; else in one of our own."""
        schema = said["create"]["schema"]
        key = next(part["AttributeName"] for part in schema if part["KeyType"] == "HASH")
        if not store and "/" not in name:
            # Refused where it is too long, differs in case alone from another, or had another key before.
            with suppress(ConfigError):
                self._mirror.add(name, await self._places.open_table(name, key))
                return name
        store = store or f"{_OWN}{uuid4().hex}"
        place = self._places.own_table if store.startswith(_OWN) else self._places.open_table
        self._mirror.add(name, await place(store, key))
        return store

    async def fill(self, name: str) -> None:
        """Rows that are there become items."""
        await self._mirror.fill(name)

    def close(self, name: str) -> None:
        """Its items are nobody's any more."""
        self._mirror.remove(name)
