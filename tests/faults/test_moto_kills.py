"""SIGKILL right after an SDK had its answer: what S3, DynamoDB and SNS were told is there at the next start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from needs import needs_module

needs_module("moto", "boto3", "flask")

import boto3  # noqa: E402

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


@contextmanager
def running(root: Path) -> Iterator[dict[str, Any]]:
    """`millrace up` in a process of its own, killed at the end; yields what a client of boto3 needs."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace", "up"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = []
        for line in process.stdout or ():
            said.append(line)
            if found := re.search(r"AWS endpoint on (http://[^ ]+)", line):
                break
        else:
            raise AssertionError("".join(said))
        yield {
            "endpoint_url": found[1],
            "region_name": "us-east-1",
            "aws_access_key_id": "a",
            "aws_secret_access_key": "b",
        }
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_what_was_answered_survives_kills(tmp_path: Path) -> None:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    for number in range(ROUNDS):
        with running(tmp_path) as client:
            boto3.client("s3", **client).put_object(Bucket="lake", Key=f"k/{number}", Body=b"x", ContentType="a/b")
            item = {"id": {"S": str(number)}, "n": {"N": "1.50"}}
            boto3.client("dynamodb", **client).put_item(TableName="orders", Item=item)
            boto3.client("sns", **client).publish(
                TopicArn="arn:aws:sns:us-east-1:000000000000:news", Message=str(number)
            )
    with running(tmp_path) as client:
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
