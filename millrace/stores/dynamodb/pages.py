"""One bucket's items in the order of their keys, a page at a time."""

from __future__ import annotations

from collections import deque
from typing import Any

from millrace.stores.dynamodb import layout
from millrace.stores.dynamodb.client import Client, Fault

_SPARE = 8  # rows of a page beyond the share of one bucket, since they are not spread evenly


class Pages:
    """What is left of a bucket behind a key; `rest` are the items that were read."""

    def __init__(self, client: Client, bucket: str, after: str | None, limit: int) -> None:
        self._client = client
        self._query: dict[str, Any] = {
            "TableName": client.address.table,
            "KeyConditionExpression": "#b = :b" if after is None else "#b = :b AND #k > :k",
            "ExpressionAttributeNames": {"#b": "bucket"} | ({} if after is None else {"#k": "key"}),
            "ExpressionAttributeValues": {":b": {"S": bucket}}
            | ({} if after is None else {":k": {"S": layout.range_key(after)}}),
            "Limit": limit // layout.BUCKETS + _SPARE,
            "ConsistentRead": True,
        }
        self._more = True
        self.rest: deque[layout.Item] = deque()

    async def fill(self) -> None:
        """Have the next item in `rest`, unless there is none. Raises StorageError."""
        while self._more and not self.rest:
            try:
                answer = await self._client.call("query", **self._query)
            except Fault as fault:
                raise self._client.told("read rows", fault) from fault
            self.rest.extend(answer["Items"])
            self._more = "LastEvaluatedKey" in answer
            self._query["ExclusiveStartKey"] = answer.get("LastEvaluatedKey")
