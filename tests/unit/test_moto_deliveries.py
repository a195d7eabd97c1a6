"""What SNS, EventBridge and others send inside moto reaches our broker, durably, before the caller has its answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from needs import needs_module

needs_module("moto", "boto3", "flask")

from botocore.exceptions import ClientError  # noqa: E402
from moto_parts import ACCOUNT, REGION, House, ask  # noqa: E402

from millrace.config.schema import Project  # noqa: E402
from millrace.errors import StorageFull  # noqa: E402
from millrace.source import Published  # noqa: E402

PROJECT = {
    "service": "shop",
    "aws": {"account": ACCOUNT, "region": REGION},
    "queues": {"plain": {}, "raw": {}, "picky": {}, "late": {}, "orders.fifo": {"fifo": True}},
    "topics": {
        "news": {
            "queues": [
                {"queue": "plain"},
                {"queue": "raw", "raw": True},
                {"queue": "picky", "filter": {"kind": [{"prefix": "ra"}]}},
            ]
        },
        "orders.fifo": {"fifo": True, "queues": [{"queue": "orders.fifo", "raw": True}]},
    },
    "functions": {
        "reader": {"handler": "a.b", "name": "shop-reader", "asynchronous": {}, "events": [{"topic": "news"}]},
        "clerk": {
            "handler": "a.b",
            "asynchronous": {},
            "events": [
                {"bus": "default", "pattern": {"source": ["shop"], "detail": {"total": [{"numeric": [">", 9]}]}}},
                {"bus": "mine", "input": {"fixed": True}},
                {"bus": "default", "pattern": {"source": ["part"]}, "input_path": "$.detail.x"},
            ],
        },
    },
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(Project.model_validate(PROJECT), tmp_path).start()
    yield found
    await found.stop()


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"


async def bodies(house: House, queue: str) -> list[Any]:
    return [json.loads(message.body) for message in await house.messages(queue)]


async def test_a_publication_reaches_queues_and_functions(house: House) -> None:
    sns = house.client("sns")
    attributes = {
        "kind": {"DataType": "String", "StringValue": "rare"},
        "n": {"DataType": "Number", "StringValue": "7"},
        "blob": {"DataType": "Binary", "BinaryValue": b"\x00"},
    }
    sent = await ask(sns.publish, TopicArn=arn("sns", "news"), Message="hi", Subject="S", MessageAttributes=attributes)
    (envelope,) = await bodies(house, "plain")
    assert envelope["MessageId"] == sent["MessageId"]
    assert (envelope["Message"], envelope["Subject"], envelope["TopicArn"]) == ("hi", "S", arn("sns", "news"))
    assert envelope["MessageAttributes"]["blob"] == {"Type": "Binary", "Value": "AA=="}
    (raw,) = await house.messages("raw")
    assert (raw.body, raw.attributes["kind"]) == (b"hi", "rare")
    assert json.loads(raw.attributes["millrace-attributes"])["n"] == {"DataType": "Number", "StringValue": "7"}
    assert len(await house.messages("picky")) == 1
    (call,) = await house.messages("reader.async")
    assert call.attributes["millrace-event"] == "topic"
    assert msgspec.json.decode(call.body, type=Published).message_id == sent["MessageId"]


async def test_batches_filters_and_texts_by_protocol(house: House) -> None:
    sns = house.client("sns")
    entries = [{"Id": str(number), "Message": str(number)} for number in range(3)]
    await ask(sns.publish_batch, TopicArn=arn("sns", "news"), PublishBatchRequestEntries=entries)
    assert [message.body for message in await house.messages("raw")] == [b"0", b"1", b"2"]
    assert await house.messages("picky") == []
    texts = json.dumps({"default": "all", "sqs": "queues"})
    await ask(sns.publish, TopicArn=arn("sns", "news"), Message=texts, MessageStructure="json")
    assert (await house.messages("raw"))[-1].body == b"queues"


async def test_a_fifo_topic_keeps_group_and_dedupe(house: House) -> None:
    sns = house.client("sns")
    named = {"TopicArn": arn("sns", "orders.fifo"), "Message": "1", "MessageGroupId": "g"}
    for _ in range(2):
        await ask(sns.publish, **named, MessageDeduplicationId="d")
    (message,) = await house.messages("orders.fifo")
    assert (message.group, message.attributes["millrace-dedupe"]) == ("g", "d")


async def test_subscriptions_made_at_run_time(house: House) -> None:
    sns = house.client("sns")
    topic = (await ask(sns.create_topic, Name="fresh"))["TopicArn"]
    for protocol, endpoint in (
        ("sqs", arn("sqs", "late")),
        ("lambda", arn("lambda", "function:shop-reader")),
        ("sqs", arn("sqs", "nowhere")),
    ):
        await ask(sns.subscribe, TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    await ask(sns.publish, TopicArn=topic, Message="x")
    assert [body["Message"] for body in await bodies(house, "late")] == ["x"]
    assert len(await house.messages("reader.async")) == 1


async def test_what_the_queue_refuses_fails_the_publication(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise StorageFull("no space left")

    monkeypatch.setattr(house.services, "_put", full)
    with pytest.raises(ClientError, match="no space left"):
        await ask(house.client("sns").publish, TopicArn=arn("sns", "news"), Message="x")


async def put_events(house: House, source: str, detail: Any, **more: Any) -> None:
    entry = {"Source": source, "DetailType": "t", "Detail": json.dumps(detail), **more}
    answer = await ask(house.client("events").put_events, Entries=[entry])
    assert answer["FailedEntryCount"] == 0


async def test_a_bus_reaches_functions_whose_pattern_matches(house: House) -> None:
    await put_events(house, "shop", {"total": 10})
    await put_events(house, "shop", {"total": 9})
    await put_events(house, "any", {}, EventBusName="mine")
    await put_events(house, "part", {"x": {"y": 1}})
    event, fixed, part = await bodies(house, "clerk.async")
    assert (event["source"], event["detail-type"], event["account"]) == ("shop", "t", ACCOUNT)
    assert (event["detail"], event["time"][10], event["time"][-1]) == ({"total": 10}, "T", "Z")
    assert "ingestion-time" not in event
    assert (fixed, part) == ({"fixed": True}, {"y": 1})


async def test_functions_of_one_name_on_aws_are_told_apart(tmp_path: Path) -> None:
    both = {"handler": "a.b", "name": "site", "asynchronous": {}, "events": [{"bus": "default"}, {"topic": "news"}]}
    project = {**PROJECT, "functions": {"app": both, "task": both}}
    house = await House(Project.model_validate(project), tmp_path).start()
    try:
        await put_events(house, "shop", {})
        await ask(house.client("sns").publish, TopicArn=arn("sns", "news"), Message="x")
        assert len(await house.messages("app.async")) == len(await house.messages("task.async")) == 2
    finally:
        await house.stop()


async def test_rules_made_at_run_time(house: House) -> None:
    events, sns = house.client("events"), house.client("sns")
    await ask(events.put_rule, Name="r", EventPattern=json.dumps({"source": [{"wildcard": "sh*p"}]}))
    targets = [
        {"Id": "1", "Arn": arn("sqs", "late")},
        {"Id": "2", "Arn": arn("sqs", "late"), "InputPath": "$.detail"},
        {
            "Id": "3",
            "Arn": arn("sqs", "late"),
            "InputTransformer": {"InputPathsMap": {"n": "$.detail.total"}, "InputTemplate": '{"n": <n>}'},
        },
        {"Id": "4", "Arn": arn("sqs", "orders.fifo"), "SqsParameters": {"MessageGroupId": "g"}},
        {"Id": "5", "Arn": arn("sns", "news")},
        {"Id": "6", "Arn": arn("kinesis", "stream/x")},
    ]
    await ask(events.put_targets, Rule="r", Targets=targets)
    await put_events(house, "shop", {"total": 1})
    whole, *rest = await bodies(house, "late")
    assert (whole["source"], rest) == ("shop", [{"total": 1}, {"n": 1}])
    assert (await house.messages("orders.fifo"))[0].group == "g"
    assert json.loads((await bodies(house, "plain"))[0]["Message"])["source"] == "shop"
    await ask(events.disable_rule, Name="r")
    await put_events(house, "shop", {"total": 1})
    assert len(await house.messages("late")) == 3
    assert await ask(sns.list_topics)
