"""Opens a table, and makes it where it is not there; one that others made in another way is refused."""

from __future__ import annotations

import asyncio
from typing import Any

from millrace.errors import ConfigError, StorageError
from millrace.stores.dynamodb import layout
from millrace.stores.dynamodb.address import Address, parse_address
from millrace.stores.dynamodb.client import Client, Fault
from millrace.stores.dynamodb.table import DynamoTable

_LOOKS, _LOOK_EVERY_S = 120, 0.5


async def open_table(url: str, name: str, key: str) -> DynamoTable:
    """The table at a URL, whose rows are stored by the field `key`; `name` is what the project calls it.

    Raises ConfigError for a URL that cannot be, a table with other keys, or rows that are stored by another field;
    StorageError where DynamoDB cannot be reached or refuses us.
    """
    client = Client(parse_address(url))
    try:
        await client.connect()
        await _ensure(client)
        await _check_field(client, name, key)
    except Fault as fault:
        await client.close()
        raise client.told("open the table", fault) from fault
    except BaseException:
        await client.close()
        raise
    return DynamoTable(client, name, key)


async def _ensure(client: Client) -> None:
    """Make the table unless it is there, and wait until it may be used."""
    found = await _described(client)
    if found is None:
        await _create(client)
    for _ in range(_LOOKS):
        found = await _described(client)
        if found is not None:
            _check_keys(client.address, found)
            if found["TableStatus"] in ("ACTIVE", "UPDATING"):
                return
        await asyncio.sleep(_LOOK_EVERY_S)
    raise StorageError(f"{client.address}: the table was not ready within a minute", "look at it in AWS's console")


async def _described(client: Client) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = (await client.call("describe_table", TableName=client.address.table))["Table"]
    except Fault as fault:
        if fault.code == "ResourceNotFoundException":
            return None
        raise
    return found


async def _create(client: Client) -> None:
    try:
        await client.call(
            "create_table",
            TableName=client.address.table,
            KeySchema=layout.KEY_SCHEMA,
            AttributeDefinitions=layout.ATTRIBUTES,
            BillingMode="PAY_PER_REQUEST",
        )
    except Fault as fault:
        if fault.code != "ResourceInUseException":  # another process was faster
            raise


def _check_keys(address: Address, found: dict[str, Any]) -> None:
    kinds = {each["AttributeName"]: each["AttributeType"] for each in found["AttributeDefinitions"]}
    keys = {each["AttributeName"]: (each["KeyType"], kinds[each["AttributeName"]]) for each in found["KeySchema"]}
    expected = {each["AttributeName"]: (each["KeyType"], "S") for each in layout.KEY_SCHEMA}
    if keys != expected:
        got = ", ".join(f"{name} ({kind}, {type})" for name, (kind, type) in keys.items())
        raise ConfigError(
            f"{address}: the table's keys are {got}; expected bucket (HASH, S), key (RANGE, S)",
            "It is not one that millrace made. Choose another name, which is made at the start.",
        )


async def _check_field(client: Client, name: str, key: str) -> None:
    """Note by which field rows are stored, or compare it with what was noted."""
    table = client.address.table
    about = {**layout.ABOUT, "field": {"S": key}}
    try:
        await client.call(
            "put_item",
            TableName=table,
            Item=about,
            ConditionExpression="attribute_not_exists(#k)",
            ExpressionAttributeNames=layout.NAMED,
        )
    except Fault as fault:
        if fault.code != "ConditionalCheckFailedException":
            raise
    noted = await client.call("get_item", TableName=table, Key=layout.ABOUT, ConsistentRead=True)
    field = noted["Item"]["field"]["S"]
    if field != key:
        raise ConfigError(
            f"table {name!r}: its rows in {client.address} are stored by {field!r}, not by {key!r}",
            f"Set `key: {field}`, or choose another table in `url`.",
        )
