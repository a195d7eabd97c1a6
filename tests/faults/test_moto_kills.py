"""SIGKILL right after an SDK had its answer: what S3, DynamoDB and SNS were told is there at the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from needs import needs_module

needs_module("moto", "boto3", "flask")

import boto3  # noqa: E402
from up_parts import running  # noqa: E402

PROJECT = """
service: shop
gateway: {port: 0}
aws: {port: 0}
queues: {told: {}}
topics: {news: {queues: [{queue: told, raw: true}]}}
buckets: {lake: {url: ./lake}}
tables: {orders: {key: id}}
"""
ROUNDS = 5


def make_at_run_time(client: dict[str, Any], number: int) -> None:
    """A table and a bucket for each round, of which the first is deleted, and something in those of round 1."""
    s3, db = boto3.client("s3", **client), boto3.client("dynamodb", **client)
    db.create_table(
        TableName=f"made-{number}",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    s3.create_bucket(Bucket=f"bin-{number}")
    if number:
        db.put_item(TableName="made-1", Item={"id": {"S": str(number)}})
        s3.put_object(Bucket="bin-1", Key="k", Body=str(number).encode())
    else:
        db.delete_table(TableName="made-0")
        s3.delete_bucket(Bucket="bin-0")


def test_what_was_answered_survives_kills(tmp_path: Path) -> None:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    for number in range(ROUNDS):
        with running(tmp_path) as up:
            client = up.client
            boto3.client("s3", **client).put_object(Bucket="lake", Key=f"k/{number}", Body=b"x", ContentType="a/b")
            item = {"id": {"S": str(number)}, "n": {"N": "1.50"}}
            boto3.client("dynamodb", **client).put_item(TableName="orders", Item=item)
            make_at_run_time(client, number)
            boto3.client("sns", **client).publish(
                TopicArn="arn:aws:sns:us-east-1:000000000000:news", Message=str(number)
            )
    with running(tmp_path) as up:
        client = up.client
        s3, db, sqs = (boto3.client(name, **client) for name in ("s3", "dynamodb", "sqs"))
        listed = s3.list_objects_v2(Bucket="lake")["Contents"]
        assert [each["Key"] for each in listed] == [f"k/{number}" for number in range(ROUNDS)]
        assert s3.head_object(Bucket="lake", Key="k/0")["ContentType"] == "a/b"
        items = db.scan(TableName="orders")["Items"]
        assert sorted(item["id"]["S"] for item in items) == [str(number) for number in range(ROUNDS)]
        assert {item["n"]["N"] for item in items} == {"1.50"}
        assert db.list_tables()["TableNames"] == ["orders", *(f"made-{number}" for number in range(1, ROUNDS))]
        assert len(db.scan(TableName="made-1")["Items"]) == ROUNDS - 1
        assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == [
            "lake",
            *(f"bin-{n}" for n in range(1, ROUNDS)),
        ]
        assert s3.get_object(Bucket="bin-1", Key="k")["Body"].read() == b"4"
        url = sqs.get_queue_url(QueueName="told")["QueueUrl"]
        told = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert sorted(message["Body"] for message in told) == [str(number) for number in range(ROUNDS)]
