"""DynamoDB through moto: items are rows of the project's tables before the answer goes out, and come back from them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from needs import needs_module

needs_module("moto", "boto3", "flask")

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from moto_parts import ACCOUNT, REGION, House, ask  # noqa: E402

from millrace.aws.rows import row_key, to_item, to_row  # noqa: E402
from millrace.config.schema import Project  # noqa: E402
from millrace.errors import StorageFull  # noqa: E402
from millrace.types import Row  # noqa: E402

PROJECT = {
    "service": "shop",
    "aws": {
        "account": ACCOUNT,
        "region": REGION,
        "resources": {
            "Scores": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": "scores",
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [
                        {"AttributeName": "who", "AttributeType": "S"},
                        {"AttributeName": "at", "AttributeType": "N"},
                    ],
                    "KeySchema": [
                        {"AttributeName": "who", "KeyType": "HASH"},
                        {"AttributeName": "at", "KeyType": "RANGE"},
                    ],
                    "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
                },
            }
        },
    },
    "tables": {"orders": {"key": "id"}, "scores": {"key": "who", "sort": "at"}},
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(Project.model_validate(PROJECT), tmp_path).start()
    yield found
    await found.stop()


async def restarted(house: House) -> None:
    await house.stop()
    house.open()
    await house.start()


async def rows(house: House, table: str) -> dict[str, Any]:
    return {row.key: json.loads(row.value) for row in await house.tables[table].scan()}


async def item(db: Any, table: str = "orders", **key: Any) -> Any:
    return (await ask(db.get_item, TableName=table, Key=key)).get("Item")


async def test_an_item_is_a_row_before_the_answer(house: House) -> None:
    db = house.client("dynamodb")
    whole = {
        "id": {"S": "a"},
        "n": {"N": "1.50"},
        "big": {"N": "12345678901234567890123456789012345678"},
        "tags": {"SS": ["y", "x"]},
        "blob": {"B": b"\x00\xff"},
        "blobs": {"BS": [b"\x01"]},
        "deep": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}, {"NS": ["2", "1"]}]}}},
        "odd": {"M": {"$dynamodb": {"M": {"S": {"S": "not a mark"}}}}},
    }
    await ask(db.put_item, TableName="orders", Item=whole)
    stored = await house.tables["orders"].get("a")
    assert stored is not None
    assert b'"n":1.50' in stored
    assert json.loads(stored)["tags"] == {"$dynamodb": {"SS": ["x", "y"]}}
    assert json.loads(stored)["blob"] == {"$dynamodb": {"B": "AP8="}}
    await restarted(house)
    found = await item(house.client("dynamodb"), id={"S": "a"})
    assert {**found, "tags": None, "deep": None} == {**whole, "tags": None, "deep": None}
    assert set(found["tags"]["SS"]) == {"x", "y"}
    assert found["deep"]["M"]["l"]["L"][:2] == [{"NULL": True}, {"BOOL": False}]


async def test_composite_keys(house: House) -> None:
    db = house.client("dynamodb")
    await ask(db.put_item, TableName="scores", Item={"who": {"S": "me"}, "at": {"N": "2.0"}, "n": {"N": "7"}})
    assert await rows(house, "scores") == {'["me", "2"]': {"who": "me", "at": 2.0, "n": 7}}
    await restarted(house)
    db = house.client("dynamodb")
    assert (await item(db, "scores", who={"S": "me"}, at={"N": "2"}))["n"] == {"N": "7"}
    await ask(db.delete_item, TableName="scores", Key={"who": {"S": "me"}, "at": {"N": "2"}})
    assert await rows(house, "scores") == {}


async def test_an_update_is_one_change(house: House) -> None:
    """moto makes a bare item first and fills it then; a stream that showed both would call a handler twice."""
    db = house.client("dynamodb")
    update = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    for _ in range(2):
        await ask(db.update_item, TableName="orders", Key={"id": {"S": "a"}}, **update)
    changes = await house.tables["orders"].changes(after=0)
    assert [(change.kind, json.loads(change.new or b"")["n"]) for change in changes] == [("insert", 1), ("modify", 2)]


async def test_batches_and_transactions(house: House) -> None:
    db = house.client("dynamodb")
    put = [{"PutRequest": {"Item": {"id": {"S": name}}}} for name in "cab"]
    await ask(db.batch_write_item, RequestItems={"orders": put})
    changes = await house.tables["orders"].changes(after=0)
    assert [change.key for change in changes] == ["c", "a", "b"]
    actions = [
        {"Put": {"TableName": "orders", "Item": {"id": {"S": "d"}}}},
        {"Delete": {"TableName": "orders", "Key": {"id": {"S": "a"}}}},
        {"Put": {"TableName": "scores", "Item": {"who": {"S": "x"}, "at": {"N": "1"}}}},
    ]
    await ask(db.transact_write_items, TransactItems=actions)
    assert (sorted(await rows(house, "orders")), len(await rows(house, "scores"))) == (["b", "c", "d"], 1)
    check = {"ConditionExpression": "attribute_not_exists(id)"}
    failing = [
        {"Put": {"TableName": "orders", "Item": {"id": {"S": "e"}}}},
        {"Put": {"TableName": "orders", "Item": {"id": {"S": "b"}}, **check}},
    ]
    with pytest.raises(ClientError, match="TransactionCanceled"):
        await ask(db.transact_write_items, TransactItems=failing)
    assert sorted(await rows(house, "orders")) == ["b", "c", "d"]
    assert await item(db, id={"S": "e"}) is None
    await ask(db.execute_statement, Statement="DELETE FROM orders WHERE id = 'b'")
    assert sorted(await rows(house, "orders")) == ["c", "d"]


async def test_what_the_disk_refuses_was_not_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    db = house.client("dynamodb")
    await ask(db.put_item, TableName="orders", Item={"id": {"S": "a"}, "n": {"N": "1"}})

    async def full(rows: list[Row]) -> None:
        raise StorageFull("no space left")

    monkeypatch.setattr(house.tables["orders"], "put", full)
    for name in "ab":
        with pytest.raises(ClientError, match="no space left"):
            await ask(db.put_item, TableName="orders", Item={"id": {"S": name}, "n": {"N": "2"}})
    assert (await item(db, id={"S": "a"}))["n"] == {"N": "1"}
    assert await item(db, id={"S": "b"}) is None


async def test_rows_that_functions_write_are_items(house: House) -> None:
    db = house.client("dynamodb")
    assert await item(db, id={"S": "r"}) is None
    table = house.tables["orders"]
    await table.put([Row("orders", "r", b'{"id":"r","n":1.5}'), Row("orders", "odd", b'{"id":7}')])
    assert await item(db, id={"S": "r"}) == {"id": {"S": "r"}, "n": {"N": "1.5"}}
    assert (await ask(db.scan, TableName="orders"))["Count"] == 1  # the odd one has a key of another type
    await table.delete(["r"])
    assert await item(db, id={"S": "r"}) is None


async def test_many_at_once_lose_no_update(house: House) -> None:
    import asyncio

    db = house.client("dynamodb")
    update = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    await asyncio.gather(
        *[ask(db.update_item, TableName="orders", Key={"id": {"S": "a"}}, **update) for _ in range(20)]
    )
    assert (await rows(house, "orders"))["a"]["n"] == 20


async def test_a_deleted_table_has_no_rows(house: House) -> None:
    db = house.client("dynamodb")
    await ask(db.put_item, TableName="orders", Item={"id": {"S": "a"}})
    await ask(db.delete_table, TableName="orders")
    assert await rows(house, "orders") == {}
    await restarted(house)
    assert await item(house.client("dynamodb"), id={"S": "a"}) is None


async def test_streams_can_be_read(house: House) -> None:
    db, streams = house.client("dynamodb"), house.client("dynamodbstreams")
    await ask(db.put_item, TableName="scores", Item={"who": {"S": "me"}, "at": {"N": "1"}})
    (stream,) = (await ask(streams.list_streams, TableName="scores"))["Streams"]
    shown = (await ask(streams.describe_stream, StreamArn=stream["StreamArn"]))["StreamDescription"]
    iterator = await ask(
        streams.get_shard_iterator,
        StreamArn=stream["StreamArn"],
        ShardId=shown["Shards"][0]["ShardId"],
        ShardIteratorType="TRIM_HORIZON",
    )
    records = (await ask(streams.get_records, ShardIterator=iterator["ShardIterator"]))["Records"]
    assert [record["eventName"] for record in records] == ["INSERT"]


_numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20)
_scalars = st.none() | st.booleans() | st.text() | _numbers | st.binary() | st.sets(st.text(min_size=1), min_size=1)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["$dynamodb", "a", "S"]), inner)
)


@given(_values)
def test_every_value_comes_back(value: Any) -> None:
    wire = _wire(TypeSerializer().serialize(value))
    back = to_item(to_row({"id": {"S": "x"}, "v": wire}))
    assert TypeDeserializer().deserialize(back["v"]) == TypeDeserializer().deserialize(wire)


def _wire(value: Any) -> Any:
    """As it travels: binary in base64; read as text, since only the way there and back is asked."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {"M": {name: _wire(part) for name, part in content.items()}}
    if kind == "L":
        return {"L": [_wire(part) for part in content]}
    return {"S": b64encode(bytes(content)).decode()} if kind == "B" else value


def test_keys_of_numbers_have_one_text() -> None:
    assert row_key([{"N": "1.0"}]) == row_key([{"N": "1"}]) == row_key([{"N": "1E0"}]) == "1"
    assert row_key([{"N": str(Decimal(10**37))}]) == str(10**37)


def test_a_number_that_dynamodb_refuses_makes_no_endless_key() -> None:
    assert row_key([{"N": "1e999999"}, {"N": "1e999999999"}]) == '["1e999999", "1e999999999"]'
