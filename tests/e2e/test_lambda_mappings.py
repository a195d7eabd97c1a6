"""Event source mappings, streams and destinations of a running project: real replicas, boto3, its database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aws_parts import Site, client, running

from millrace.types import Row

PROJECT = """
service: shop
gateway: {port: 0}
aws: {port: 0, account: "123456789012", region: eu-west-1}
queues:
  seen: {}
  many: {lease: 10s}
  late.fifo: {fifo: true, lease: 1s, max_receives: 3, dead: gone.fifo}
  gone.fifo: {fifo: true}
  typed: {}
  hidden: {lease: 60s}
  ended: {}
tables:
  counts: {key: id}
functions:
  crowd:
    handler: app.crowd
    timeout: 10s
    replicas: 4
    asynchronous: {}
    events: [{queue: many, batch: {size: 1}, concurrency: 2, on_error: batch, retry: lease}]
  ordered:
    handler: app.ordered
    timeout: 1s
    asynchronous: {}
    events: [{queue: late.fifo, batch: {size: 10}, on_error: batch, retry: lease}]
  reads:
    handler: app.reads
    asynchronous: {}
    events: [{queue: typed}]
  hides:
    handler: app.hides
    timeout: 20s
    asynchronous: {}
    events: [{queue: hidden, on_error: batch, retry: lease}]
  keys:
    handler: app.follow
    asynchronous: {}
    environment: {WHO: keys}
    events: [{table: counts, view: keys}]
  latest:
    handler: app.follow
    asynchronous: {}
    environment: {WHO: latest}
    events: [{table: counts, start: latest, view: new}]
  aged:
    handler: app.fails
    asynchronous: {}
    events: [{table: counts, max_age: 2s, on_failure: {queue: ended}}]
    retry: {base: 1s}
  fails:
    handler: app.fails
    asynchronous: {tries: 0, on_failure: {function: told}, dead_letter: {queue: ended}}
  works:
    handler: app.works
    asynchronous: {on_success: {bus: default}}
  told:
    handler: app.told
    asynchronous: {}
    events: [{bus: default, pattern: {source: [lambda]}}]
"""
APP = """
import json, os, time, uuid
import boto3

def tell(**values):
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="seen")["QueueUrl"], MessageBody=json.dumps(values))

def crowd(event, context):
    folder = os.path.join(os.environ["LAMBDA_TASK_ROOT"], "inside")
    os.makedirs(folder, exist_ok=True)
    mine = os.path.join(folder, uuid.uuid4().hex)
    open(mine, "w").close()
    most = 0
    for _ in range(20):
        most = max(most, len(os.listdir(folder)))
        time.sleep(0.02)
    os.remove(mine)
    tell(most=most)

def ordered(event, context):
    records = event["Records"]
    bodies = [record["body"] for record in records]
    counts = [int(record["attributes"]["ApproximateReceiveCount"]) for record in records]
    failed = [r["messageId"] for r, n in zip(records, counts) if r["body"] == "bad" or (r["body"] == "a" and n == 1)]
    first = next((place for place, r in enumerate(records) if r["messageId"] in failed), len(records))
    tell(done=bodies[:first], counts=counts[:first])
    return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in records[first:]]}

def reads(event, context):
    tell(attributes=event["Records"][0]["messageAttributes"], md5=event["Records"][0]["md5OfMessageAttributes"])

def hides(event, context):
    record = event["Records"][0]
    count = int(record["attributes"]["ApproximateReceiveCount"])
    tell(count=count, at=time.time())
    if count == 1:
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName="hidden")["QueueUrl"]
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=1)
        raise ValueError("later")

def follow(event, context):
    for record in event["Records"]:
        tell(who=os.environ["WHO"], dynamodb=record["dynamodb"])

def fails(event, context):
    raise ValueError("no such order")

def works(event, context):
    return {"fine": event}

def told(event, context):
    tell(event=event)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


class Queues:
    """boto3's SQS, by queue names, off the event loop."""

    def __init__(self, site: Site) -> None:
        self._sqs = client("sqs", site.endpoint)
        self._url = f"{site.endpoint}/123456789012/"

    async def send(self, queue: str, body: str, **more: Any) -> None:
        await asyncio.to_thread(self._sqs.send_message, QueueUrl=self._url + queue, MessageBody=body, **more)


async def seen(site: Site, count: int) -> list[Any]:
    """What handlers told, in the order in which they did."""
    return [message.json() for message in await site.received("seen", count)]


@pytest.mark.timeout(120)
async def test_no_more_invocations_at_once_than_the_maximum_concurrency(folder: Path) -> None:
    async with running(folder) as site:
        queues = Queues(site)
        for number in range(8):
            await queues.send("many", str(number))
        assert max(told["most"] for told in await seen(site, 8)) == 2


@pytest.mark.timeout(120)
async def test_what_fails_in_a_fifo_queue_comes_again_before_what_follows_and_dies_into_its_queue(folder: Path) -> None:
    async with running(folder) as site:
        queues = Queues(site)
        for body in ("a", "b"):
            await queues.send("late.fifo", body, MessageGroupId="g", MessageDeduplicationId=body)
        await queues.send("late.fifo", "bad", MessageGroupId="h", MessageDeduplicationId="bad")
        await queues.send("late.fifo", "x", MessageGroupId="i", MessageDeduplicationId="x")
        (dead,) = await site.received("gone.fifo", 1)
        assert dead.body == b"bad"
        while (stats := await site.backend.broker.stats("late.fifo")).depth + stats.in_flight + stats.delayed:
            await site.backend.broker.wait("late.fifo", 0.2)
        told = [told for told in await seen(site, 1) if told["done"]]
        order = [body for each in told for body in each["done"]]
        assert sorted(order) == ["a", "b", "x"]
        assert order.index("a") < order.index("b")
        counts = {body: count for each in told for body, count in zip(each["done"], each["counts"], strict=True)}
        assert counts["a"] == 2


@pytest.mark.timeout(120)
async def test_typed_attributes_reach_the_handler_as_they_were_sent(folder: Path) -> None:
    async with running(folder) as site:
        attributes = {
            "kind": {"DataType": "String", "StringValue": "cat"},
            "weight": {"DataType": "Number", "StringValue": "4.20"},
            "custom": {"DataType": "Number.float", "StringValue": "1e3"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        }
        await Queues(site).send("typed", "x", MessageAttributes=attributes)
        (told,) = await seen(site, 1)
        empty = {"stringListValues": [], "binaryListValues": []}
        assert told["attributes"] == {
            "kind": {"dataType": "String", "stringValue": "cat", **empty},
            "weight": {"dataType": "Number", "stringValue": "4.20", **empty},
            "custom": {"dataType": "Number.float", "stringValue": "1e3", **empty},
            "raw": {"dataType": "Binary", "binaryValue": "AP8=", **empty},
        }
        assert len(told["md5"]) == 32


@pytest.mark.timeout(120)
async def test_a_handler_that_hides_its_message_before_it_fails_decides_when_it_comes_again(folder: Path) -> None:
    async with running(folder) as site:
        await Queues(site).send("hidden", "x")
        first, second = await seen(site, 2)
        assert (first["count"], second["count"]) == (1, 2)
        assert second["at"] - first["at"] < 55.0, "earlier than the queue's own minute"


@pytest.mark.timeout(120)
async def test_what_a_stream_shows_where_it_begins_and_what_is_too_old(folder: Path) -> None:
    (folder / "millrace.yml").write_text(PROJECT.replace("start: latest", "enabled: false, start: latest"))
    async with running(folder) as site:
        await site.backend.tables["counts"].put([Row("counts", "a", b'{"id":"a","n":1}')])
        (told,) = await seen(site, 1)
        assert told["who"] == "keys"
        assert told["dynamodb"]["Keys"] == {"id": {"S": "a"}}
        assert (told["dynamodb"]["StreamViewType"], "NewImage" in told["dynamodb"]) == ("KEYS_ONLY", False)
        (ended,) = [message.json() for message in await site.received("ended", 1)]
        assert ended["requestContext"]["condition"] == "RecordAgeExceeded"
        assert ended["DDBStreamBatchInfo"]["batchSize"] == 1
    (folder / "millrace.yml").write_text(PROJECT)
    async with running(folder) as site:
        while "table latest.counts.stream counts" not in str(await bookmarks(site)):
            await asyncio.sleep(0.05)
        await site.backend.tables["counts"].put([Row("counts", "b", b'{"id":"b","n":2}')])
        found = await seen(site, 3)
        latest = [each["dynamodb"] for each in found if each["who"] == "latest"]
        assert [each["NewImage"] for each in latest] == [{"id": {"S": "b"}, "n": {"N": "2"}}]
        assert latest[0]["StreamViewType"] == "NEW_IMAGE"


async def bookmarks(site: Site) -> Any:
    name = "table latest.counts.stream counts"
    return {name: marks} if (marks := await site.backend.bookmarks.load(name)) else {}


@pytest.mark.timeout(120)
async def test_a_function_a_bus_and_a_dead_letter_queue_get_what_became_of_calls(folder: Path) -> None:
    async with running(folder) as site:
        lambda_ = client("lambda", site.endpoint)

        async def call(function: str) -> None:
            event = json.dumps({"order": 7})
            await asyncio.to_thread(lambda_.invoke, FunctionName=function, InvocationType="Event", Payload=event)

        await call("fails")
        (told,) = await seen(site, 1)
        assert told["event"]["requestContext"]["condition"] == "RetriesExhausted"
        assert told["event"]["requestPayload"] == {"order": 7}
        assert told["event"]["responsePayload"]["errorMessage"] == "no such order"
        (dead,) = await site.received("ended", 1)
        assert dead.json() == {"order": 7}
        await call("works")
        event = (await seen(site, 2))[1]["event"]
        assert (event["source"], event["detail-type"]) == ("lambda", "Lambda Function Invocation Result - Success")
        assert event["detail"]["responsePayload"] == {"fine": {"order": 7}}


@pytest.mark.timeout(120)
async def test_mappings_are_listed_and_not_made(folder: Path) -> None:
    def drive(url: str) -> None:
        lambda_ = client("lambda", url)
        arn = "arn:aws:sqs:eu-west-1:123456789012:many"
        (many,) = lambda_.list_event_source_mappings(FunctionName="crowd")["EventSourceMappings"]
        assert (many["EventSourceArn"], many["ScalingConfig"]) == (arn, {"MaximumConcurrency": 2})
        assert lambda_.get_event_source_mapping(UUID=many["UUID"])["State"] == "Enabled"
        with pytest.raises(lambda_.exceptions.InvalidParameterValueException, match="project file"):
            lambda_.create_event_source_mapping(FunctionName="told", EventSourceArn=arn)

    async with running(folder) as site:
        await asyncio.to_thread(drive, site.endpoint)
