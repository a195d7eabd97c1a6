"""SIGKILL right after an SDK had its answer: what S3, DynamoDB and SNS were told is there at the next start."""

from __future__ import annotations

from pathlib import Path

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


def test_what_was_answered_survives_kills(tmp_path: Path) -> None:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    for number in range(ROUNDS):
        with running(tmp_path) as up:
            client = up.client
            boto3.client("s3", **client).put_object(Bucket="lake", Key=f"k/{number}", Body=b"x", ContentType="a/b")
            item = {"id": {"S": str(number)}, "n": {"N": "1.50"}}
            boto3.client("dynamodb", **client).put_item(TableName="orders", Item=item)
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
        url = sqs.get_queue_url(QueueName="told")["QueueUrl"]
        told = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert sorted(message["Body"] for message in told) == [str(number) for number in range(ROUNDS)]
