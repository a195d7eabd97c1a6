"""SQS as boto3 sees it: every action through the real client, which checks the digests and knows the exceptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqs_parts import ACCOUNT, ORIGIN, REGION, Sqs, boto_client, loop_thread, sqlite


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """A client of a service over the embedded broker."""
    with loop_thread() as loop:
        opened = sqlite(tmp_path)

        def run(work: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(work, loop).result(30)

        sqs: Sqs = run(opened.__aenter__())
        with boto_client(sqs.service.handle, loop) as found:
            found.clock = sqs.clock
            yield found
        run(sqs.service.close())
        run(opened.__aexit__(None, None, None))


def test_messages(client: Any) -> None:
    url = client.create_queue(QueueName="jobs", tags={"a": "b"})["QueueUrl"]
    assert url == f"{ORIGIN}/{ACCOUNT}/jobs"
    attributes = {
        "s": {"DataType": "String", "StringValue": "ü"},
        "n": {"DataType": "Number", "StringValue": "1"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    sent = client.send_message(QueueUrl=url, MessageBody="hällo", MessageAttributes=attributes)
    (message,) = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    client.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=60)
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    client.clock.advance(100)
    assert "Messages" not in client.receive_message(QueueUrl=url)


def test_batches(client: Any) -> None:
    url = client.create_queue(QueueName="jobs")["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(10)]
    sent = client.send_message_batch(QueueUrl=url, Entries=entries)
    assert len(sent["Successful"]) == 10
    assert "Failed" not in sent
    received = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    handles = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(received)]
    changed = [{**each, "VisibilityTimeout": 5} for each in handles]
    assert len(client.change_message_visibility_batch(QueueUrl=url, Entries=changed)["Successful"]) == 10
    assert len(client.delete_message_batch(QueueUrl=url, Entries=handles)["Successful"]) == 10


def test_queues(client: Any) -> None:
    dead = client.create_queue(QueueName="dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert arn == f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})
    url = client.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    assert client.get_queue_url(QueueName="jobs")["QueueUrl"] == url
    assert client.list_queues(QueueNamePrefix="j")["QueueUrls"] == [url]
    assert client.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    client.tag_queue(QueueUrl=url, Tags={"k": "v"})
    assert client.list_queue_tags(QueueUrl=url)["Tags"] == {"k": "v"}
    client.untag_queue(QueueUrl=url, TagKeys=["k"])
    client.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111111111111"], Actions=["*"])
    client.remove_permission(QueueUrl=url, Label="l")
    client.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        client.receive_message(QueueUrl=url)
        client.clock.advance(2)
    client.start_message_move_task(SourceArn=arn)
    while client.list_message_move_tasks(SourceArn=arn)["Results"][0]["Status"] == "RUNNING":
        pass
    assert len(client.receive_message(QueueUrl=url)["Messages"]) == 1
    client.purge_queue(QueueUrl=url)
    client.delete_queue(QueueUrl=url)
    assert list(client.get_paginator("list_queues").paginate().search("QueueUrls")) == [dead]


def test_fifo(client: Any) -> None:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = client.create_queue(QueueName="a.fifo", Attributes=attributes)["QueueUrl"]
    sent = [client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g") for body in ("a", "b", "a")]
    assert sent[0]["MessageId"] == sent[2]["MessageId"]
    assert sent[0]["SequenceNumber"] < sent[1]["SequenceNumber"]
    received = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [each["Body"] for each in received] == ["a", "b"]


def test_exceptions(client: Any) -> None:
    known = client.exceptions
    url = client.create_queue(QueueName="jobs")["QueueUrl"]
    with pytest.raises(known.QueueDoesNotExist) as missing:
        client.get_queue_url(QueueName="other")
    assert missing.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    with pytest.raises(known.QueueNameExists):
        client.create_queue(QueueName="jobs", Attributes={"DelaySeconds": "1"})
    with pytest.raises(known.ReceiptHandleIsInvalid):
        client.delete_message(QueueUrl=url, ReceiptHandle="nonsense")
    with pytest.raises(known.InvalidMessageContents):
        client.send_message(QueueUrl=url, MessageBody="\x00")
    with pytest.raises(known.EmptyBatchRequest):
        client.send_message_batch(QueueUrl=url, Entries=[])
    with pytest.raises(known.ClientError) as invalid:
        client.receive_message(QueueUrl=url, MaxNumberOfMessages=11)
    assert invalid.value.response["Error"]["Code"] == "InvalidParameterValue"
    with pytest.raises(known.ResourceNotFoundException):
        client.cancel_message_move_task(TaskHandle="nonsense")
