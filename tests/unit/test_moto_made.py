"""Tables and buckets that no project file names, made through the API: what a restart finds of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from needs import needs_module

needs_module("moto", "boto3", "flask")

from botocore.exceptions import ClientError  # noqa: E402
from moto_parts import ACCOUNT, REGION, House, ask  # noqa: E402

from millrace.config.schema import Project  # noqa: E402
from millrace.errors import StorageFull  # noqa: E402
from millrace.types import Row  # noqa: E402

PROJECT = {
    "service": "shop",
    "aws": {"account": ACCOUNT, "region": REGION},
    "queues": {"told": {}},
    "tables": {"orders": {"key": "id"}},
    "buckets": {"lake": {"url": "./lake"}},
}
HERE = {"LocationConstraint": REGION}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(Project.model_validate(PROJECT), tmp_path).start()
    yield found
    await found.stop()


async def again(house: House, **changed: Any) -> None:
    """The same stores under new services, as after a restart; `changed` of the project."""
    await house.stop()
    house.project = Project.model_validate(PROJECT | changed)
    house.open()
    await house.start()


async def make(db: Any, name: str, key: str = "id", **named: Any) -> None:
    wanted = {
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    await ask(db.create_table, TableName=name, **(wanted | named))


async def items(db: Any, table: str) -> list[Any]:
    return [item["id"]["S"] for item in (await ask(db.scan, TableName=table))["Items"]]


async def buckets(s3: Any) -> list[str]:
    return [each["Name"] for each in (await ask(s3.list_buckets))["Buckets"]]


async def test_a_table_and_its_items_survive(house: House) -> None:
    db = house.client("dynamodb")
    both = [{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "at", "AttributeType": "N"}]
    keys = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
    await make(
        db,
        "Msg.id",
        KeySchema=keys,
        AttributeDefinitions=both,
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-at",
                "KeySchema": [{**keys[1], "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        Tags=[{"Key": "colour", "Value": "red"}],
    )
    ttl = {"Enabled": True, "AttributeName": "until"}
    await ask(db.update_time_to_live, TableName="Msg.id", TimeToLiveSpecification=ttl)
    await ask(db.put_item, TableName="Msg.id", Item={"id": {"S": "a"}, "at": {"N": "1.0"}})
    before = (await ask(db.describe_table, TableName="Msg.id"))["Table"]
    for _ in range(2):
        await again(house)
        db = house.client("dynamodb")
        after = (await ask(db.describe_table, TableName="Msg.id"))["Table"]
        assert {**after, "CreationDateTime": None} == {**before, "CreationDateTime": None, "ItemCount": 1}
        found = await ask(db.get_item, TableName="Msg.id", Key={"id": {"S": "a"}, "at": {"N": "1"}})
        assert found["Item"]["at"] == {"N": "1.0"}
        found = await ask(db.describe_time_to_live, TableName="Msg.id")
        assert found["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
        tags = await ask(db.list_tags_of_resource, ResourceArn=after["TableArn"])
        assert tags["Tags"] == [{"Key": "colour", "Value": "red"}]
        query = {"KeyConditionExpression": "#a = :one", "ExpressionAttributeNames": {"#a": "at"}}
        values = {":one": {"N": "1"}}
        found = await ask(db.query, TableName="Msg.id", IndexName="by-at", ExpressionAttributeValues=values, **query)
        assert found["Count"] == 1


async def test_a_changed_table_is_as_it_was_changed(house: House) -> None:
    db = house.client("dynamodb")
    await make(db, "made")
    index = {
        "IndexName": "by-who",
        "KeySchema": [{"AttributeName": "who", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    await ask(
        db.update_table,
        TableName="made",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "who")],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )
    await again(house)
    table = (await ask(house.client("dynamodb").describe_table, TableName="made"))["Table"]
    assert [each["IndexName"] for each in table["GlobalSecondaryIndexes"]] == ["by-who"]
    assert table["StreamSpecification"]["StreamViewType"] == "KEYS_ONLY"


async def test_a_deleted_table_is_forgotten(house: House) -> None:
    db = house.client("dynamodb")
    await make(db, "made")
    await ask(db.put_item, TableName="made", Item={"id": {"S": "a"}})
    await ask(db.delete_table, TableName="made")
    await make(db, "made", key="other")  # by another key, which the same rows could not have
    await ask(db.put_item, TableName="made", Item={"other": {"S": "b"}})
    await again(house)
    db = house.client("dynamodb")
    assert (await ask(db.scan, TableName="made"))["Items"] == [{"other": {"S": "b"}}]
    await ask(db.delete_table, TableName="made")
    await again(house)
    assert (await ask(house.client("dynamodb").list_tables))["TableNames"] == ["orders"]


async def test_a_restored_table_begins_with_its_items(house: House) -> None:
    db = house.client("dynamodb")
    await ask(db.put_item, TableName="orders", Item={"id": {"S": "a"}})
    backup = (await ask(db.create_backup, TableName="orders", BackupName="first"))["BackupDetails"]["BackupArn"]
    await ask(db.restore_table_from_backup, TargetTableName="restored", BackupArn=backup)
    await again(house)
    assert await items(house.client("dynamodb"), "restored") == ["a"]


async def test_names_that_a_store_would_confuse(house: House) -> None:
    db, away = house.client("dynamodb"), house.client("dynamodb", region="us-east-2")
    names = [(db, "ORDERS"), (away, "orders"), (db, "x" * 200)]
    for number, (client, name) in enumerate(names):
        await make(client, name)
        await ask(client.put_item, TableName=name, Item={"id": {"S": str(number)}})
    await ask(db.put_item, TableName="orders", Item={"id": {"S": "own"}})
    await again(house)
    db, away = house.client("dynamodb"), house.client("dynamodb", region="us-east-2")
    assert [await items(db, "ORDERS"), await items(away, "orders"), await items(db, "x" * 200)] == [["0"], ["1"], ["2"]]
    assert await items(db, "orders") == ["own"]


async def test_a_table_that_is_declared_later_has_its_items(house: House) -> None:
    await make(house.client("dynamodb"), "made")
    await ask(house.client("dynamodb").put_item, TableName="made", Item={"id": {"S": "a"}})
    await again(house, tables={"made": {"key": "id"}})
    assert await house.tables["made"].get("a") == b'{"id":"a"}'
    assert await items(house.client("dynamodb"), "made") == ["a"]
    await again(house)  # and no more
    assert await items(house.client("dynamodb"), "made") == ["a"]


async def test_a_declared_table_that_was_deleted_is_the_projects(house: House) -> None:
    db = house.client("dynamodb")
    await ask(db.delete_table, TableName="orders")
    await make(db, "orders", key="other")
    await again(house)
    table = (await ask(house.client("dynamodb").describe_table, TableName="orders"))["Table"]
    assert table["KeySchema"][0]["AttributeName"] == "id"


async def test_what_a_stack_made_goes_with_the_stack(house: House) -> None:
    stacks = house.client("cloudformation")
    table = {
        "TableName": "stacked",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    template = json.dumps({"Resources": {"T": {"Type": "AWS::DynamoDB::Table", "Properties": table}}})
    for _ in range(2):
        await ask(stacks.create_stack, StackName="s", TemplateBody=template)
        db = house.client("dynamodb")
        await make(db, f"beside-{_}")
        assert "stacked" in (await ask(db.list_tables))["TableNames"]
        await again(house)
        stacks = house.client("cloudformation")
    assert (await ask(house.client("dynamodb").list_tables))["TableNames"] == ["orders", "beside-0", "beside-1"]


@pytest.mark.parametrize("deleting", [False, True])
async def test_what_the_disk_refuses_was_not_made(
    house: House, monkeypatch: pytest.MonkeyPatch, deleting: bool
) -> None:
    db, s3 = house.client("dynamodb"), house.client("s3")
    await make(db, "made")
    await ask(db.put_item, TableName="made", Item={"id": {"S": "a"}})
    await ask(s3.create_bucket, Bucket="first", CreateBucketConfiguration=HERE)

    async def full(_: list[Any]) -> None:
        raise StorageFull("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(house.services._made._kept, "delete" if deleting else "put", full)
        for call in (
            [ask(db.delete_table, TableName="made"), ask(s3.delete_bucket, Bucket="first")]
            if deleting
            else [make(db, "more"), ask(s3.create_bucket, Bucket="more", CreateBucketConfiguration=HERE)]
        ):
            with pytest.raises(ClientError, match="no space left"):
                await call
    for _ in range(2):
        assert (await ask(house.client("dynamodb").list_tables))["TableNames"] == ["orders", "made"]
        assert await buckets(house.client("s3")) == ["lake", "first"]
        await again(house)


async def test_a_bucket_and_its_objects_survive(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.create_bucket, Bucket="made-here", CreateBucketConfiguration=HERE)
    await ask(s3.put_bucket_versioning, Bucket="made-here", VersioningConfiguration={"Status": "Enabled"})
    tags = {"TagSet": [{"Key": "colour", "Value": "red"}]}
    await ask(s3.put_bucket_tagging, Bucket="made-here", Tagging=tags)
    cors = {"CORSRules": [{"AllowedMethods": ["PUT"], "AllowedOrigins": ["*"], "MaxAgeSeconds": 60}]}
    await ask(s3.put_bucket_cors, Bucket="made-here", CORSConfiguration=cors)
    told = {
        "Id": "n",
        "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:told",
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".png"}]}},
    }
    await ask(
        s3.put_bucket_notification_configuration,
        Bucket="made-here",
        NotificationConfiguration={"QueueConfigurations": [told]},
    )
    await ask(s3.put_object, Bucket="made-here", Key="in/a.txt", Body=b"x", ContentType="a/b")
    created = (await ask(s3.list_buckets))["Buckets"]
    for number in range(2):
        await again(house)
        s3 = house.client("s3")
        assert [each["Name"] for each in created] == ["lake", "made-here"]
        assert (await ask(s3.list_buckets))["Buckets"][1] == created[1]
        assert (await ask(s3.get_bucket_location, Bucket="made-here"))["LocationConstraint"] == REGION
        assert (await ask(s3.get_bucket_versioning, Bucket="made-here"))["Status"] == "Enabled"
        assert (await ask(s3.get_bucket_tagging, Bucket="made-here"))["TagSet"] == tags["TagSet"]
        assert (await ask(s3.get_bucket_cors, Bucket="made-here"))["CORSRules"] == cors["CORSRules"]
        found = await ask(s3.get_object, Bucket="made-here", Key="in/a.txt")
        assert (found["Body"].read(), found["ContentType"]) == (b"x", "a/b")
        await ask(s3.put_object, Bucket="made-here", Key=f"{number}.png", Body=b"x")
    bodies = [message.json() for message in await house.messages("told")]
    keys = [body["Records"][0]["s3"]["object"]["key"] for body in bodies if "Records" in body]
    assert keys == ["0.png", "1.png"]


async def test_a_deleted_bucket_is_forgotten_once_it_is_empty(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.create_bucket, Bucket="made-here", CreateBucketConfiguration=HERE)
    file = house.root / "made/made-here/by-hand"
    file.write_bytes(b"x")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        await ask(s3.delete_bucket, Bucket="made-here")
    await ask(s3.delete_object, Bucket="made-here", Key="by-hand")
    assert not file.exists()
    await ask(s3.delete_bucket, Bucket="made-here")
    await again(house)
    assert await buckets(house.client("s3")) == ["lake"]


@pytest.mark.parametrize("name", ["..%2F..%2Fx", "%2e%2e%2e", "A..B", "UPPER"])
async def test_no_name_leads_out_of_the_folder(house: House, name: str) -> None:
    from millrace.aws.endpoint.call import Call

    headers = {"host": "127.0.0.1:8401"}
    await house.services.handle(Call("PUT", f"/{name}", headers=headers, account=ACCOUNT, region="us-east-1"))
    assert sorted(path.name for path in house.root.iterdir() if path.is_dir()) == ["lake"]


async def test_words_that_moto_no_longer_takes_cost_one_table(house: House) -> None:
    db = house.client("dynamodb")
    await make(db, "made")
    kept = house.services._made._kept
    await kept.put([Row(kept.name, "dynamodb:odd", b'{"id":"dynamodb:odd","said":{"create":{"schema":[]}}}')])
    await again(house)
    assert (await ask(house.client("dynamodb").list_tables))["TableNames"] == ["orders", "made"]
