"""Handlers behind queues, streams and asynchronous calls, as on Lambda, in one running project with its database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from millrace.app import Backend, open_backend, up
from millrace.aws.subscribers import Subscribers
from millrace.config.load import load
from millrace.source import EVENT_ATTRIBUTE, BusPost, Published
from millrace.types import Message, Put, Row

PROJECT = """
service: shop
gateway: {port: 0}
aws: {port: 0, account: "123456789012", region: eu-west-1}
queues:
  orders: {lease: 2s, max_receives: 2, dead: orders-dlq}
  orders-dlq: {}
  ended: {}
  seen: {}
tables:
  counts: {key: id, sort: day}
topics:
  alarms: {}
  news: {queues: [{queue: seen, raw: true}]}
functions:
  worker:
    handler: app.worker
    name: shop-dev-worker
    timeout: 1s
    asynchronous: {}
    events:
      - queue: orders
        batch: {size: 10, wait: 200ms}
        filter: [{body: {total: [{exists: true}]}}]
        on_error: batch
        retry: lease
  called:
    handler: app.called
    name: shop-dev-called
    asynchronous: {tries: 1, wait: 100ms, on_failure: {queue: ended}, on_success: {topic: news}}
    events:
      - bus: default
        pattern: {source: [shop]}
      - topic: alarms
  follow:
    handler: app.follow
    asynchronous: {}
    events:
      - table: counts
        batch: {size: 10}
        filter: [{eventName: [INSERT, MODIFY]}]
        tries: 1
        on_failure: {queue: ended}
    retry: {base: 100ms}
"""
APP = """
import json

def worker(event, context):
    failed = [r["messageId"] for r in event["Records"] if json.loads(r["body"])["total"] < 0]
    print("worked", len(event["Records"]), flush=True)
    return {"batchItemFailures": [{"itemIdentifier": id} for id in failed]}

def called(event, context):
    if "Records" in event:
        return event["Records"][0]["Sns"]["Message"]
    if event.get("detail", {}).get("bad"):
        raise ValueError("bad order")
    return {"seen": event["detail-type"]}

def follow(event, context):
    for record in event["Records"]:
        if record["dynamodb"]["NewImage"].get("bad"):
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
"""


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Backend]:
    """The whole project in this process; it must end well."""
    (folder / "app.py").write_text(APP)
    (folder / "millrace.yml").write_text(PROJECT)
    stop, listening = asyncio.Event(), asyncio.Event()
    project = load(folder)

    def announce(text: str) -> None:
        if "listening on" in text:
            listening.set()

    task = asyncio.create_task(up(project, announce=announce, stop=stop))
    await asyncio.wait({task, asyncio.ensure_future(listening.wait())}, return_when=asyncio.FIRST_COMPLETED)
    backend = await open_backend(project)
    try:
        yield backend
    finally:
        stop.set()
        await backend.close()
    assert await task == 0


async def received(backend: Backend, queue: str, count: int) -> list[Message]:
    """What a queue holds, once it holds that many."""
    while len(found := await backend.broker.peek(queue)) < count:
        await backend.broker.wait(queue, 1.0)
    return [peeked.message for peeked in found]


def by_condition(messages: list[Message]) -> dict[str, Any]:
    envelopes = [message.json() for message in messages]
    return {envelope["requestContext"]["condition"]: envelope for envelope in envelopes}


@pytest.mark.timeout(120)
async def test_a_failed_message_of_a_batch_comes_back_and_dies_into_the_queue_for_it(tmp_path: Path) -> None:
    async with running(tmp_path) as backend:
        bodies = {"good": {"total": 1}, "bad": {"total": -1}, "other": {"kind": "note"}}
        await backend.broker.put([Put("orders", Message(id, json.dumps(body).encode())) for id, body in bodies.items()])
        (dead,) = await received(backend, "orders-dlq", 1)
        assert (dead.id, dead.attributes["millrace-dead-from"]) == ("bad", "orders")
        stats = await backend.broker.stats("orders")
        assert (stats.depth, stats.in_flight, stats.delayed) == (0, 0, 0)
        record = await backend.results.get("good")
        assert record is not None
        assert (record.state, record.attempts) == ("done", 1)


@pytest.mark.timeout(120)
async def test_events_of_a_bus_and_notifications_reach_functions_and_their_ends_their_destinations(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as backend:
        subscribers = Subscribers(load(tmp_path))
        bad = BusPost("default", "b1", "shop", "Order", msgspec.Raw(b'{"bad":true}'), time.time())
        good = BusPost("default", "b2", "shop", "Order", msgspec.Raw(b"{}"), time.time())
        alarm = Published("alarms", "n1", "fire", time.time())
        await backend.broker.put(
            [*subscribers.bus_puts(bad), *subscribers.bus_puts(good), *subscribers.topic_puts(alarm)]
        )
        ended = by_condition(await received(backend, "ended", 1))["RetriesExhausted"]
        assert ended["requestPayload"]["detail"] == {"bad": True}
        assert ended["responsePayload"]["errorMessage"] == "bad order"
        assert ended["requestContext"]["approximateInvokeCount"] == 2
        assert ended["requestContext"]["functionArn"].endswith(":function:shop-dev-called:$LATEST")
        answers = [message.json()["responsePayload"] for message in await received(backend, "seen", 2)]
        assert {"seen": "Order"} in answers
        assert "fire" in answers


@pytest.mark.timeout(120)
async def test_changes_that_keep_failing_are_given_up_with_their_place_in_the_stream(tmp_path: Path) -> None:
    async with running(tmp_path) as backend:
        rows = [{"id": "a", "day": 1}, {"id": "b", "day": 2, "bad": True}]
        table = backend.tables["counts"]
        await table.put([Row("counts", row["id"], json.dumps(row).encode()) for row in rows])
        ended = by_condition(await received(backend, "ended", 1))["RetryAttemptsExhausted"]
        assert ended["DDBStreamBatchInfo"]["batchSize"] == 1
        await table.put([Row("counts", "b", b'{"id":"b","day":2}')])
        while (stats := await backend.broker.stats("follow.counts.stream")).depth + stats.in_flight:
            await backend.broker.wait("follow.counts.stream", 1.0)
        assert stats.dead == 0


@pytest.mark.timeout(120)
async def test_a_plain_call_is_asynchronous(tmp_path: Path) -> None:
    async with running(tmp_path) as backend:
        event = Message("c1", b'{"detail-type":"x"}', {EVENT_ATTRIBUTE: "raw"})
        await backend.broker.put([Put("called.async", event)])
        record = await backend.results.wait("c1", 60.0)
        assert record is not None
        assert record.state == "done"
