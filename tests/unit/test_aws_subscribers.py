"""Who gets what is published, and which records a filter lets pass."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from lambda_samples import AT, SPEC

from millrace.aws.events import sqs
from millrace.aws.filters import queue_filter, subscription_filter
from millrace.aws.subscribers import Subscribers
from millrace.config.schema import Project
from millrace.source import BusPost, Published, TopicAttribute
from millrace.types import Message, Put


def record(body: str, **attributes: str) -> dict[str, Any]:
    event = sqs.event([Message("m", body.encode(), attributes, AT)], [1], ["r"], queue="q", spec=SPEC, now=AT)
    found: dict[str, Any] = event["Records"][0]
    return found


class TestQueueFilter:
    """The table of formats in Lambda's guide: a mismatch drops the message."""

    @pytest.mark.parametrize(
        ("body", "pattern", "passes"),
        [
            ('{"n": 5}', {"body": {"n": [{"numeric": [">", 4]}]}}, True),
            ('{"n": 4}', {"body": {"n": [{"numeric": [">", 4]}]}}, False),
            ("plain", {"body": {"n": [{"exists": False}]}}, False),
            ('{"broken', {"body": {"n": [{"exists": False}]}}, False),
            ("plain", {"body": [{"prefix": "pl"}]}, True),
            ("other", {"body": [{"prefix": "pl"}]}, False),
            ('{"n": 5}', {"body": [{"prefix": "{"}]}, False),
            ("plain", {"messageAttributes": {"a": {"stringValue": ["x"]}}}, True),
            ('{"n": 5}', {"messageAttributes": {"a": {"stringValue": ["y"]}}}, False),
            ('{"n": 5}', {}, True),
        ],
    )
    def test_formats_must_agree(self, body: str, pattern: dict[str, Any], passes: bool) -> None:
        assert queue_filter([pattern])(record(body, a="x")) is passes

    def test_one_of_several_is_enough(self) -> None:
        accepts = queue_filter([{"body": {"a": [1]}}, {"body": ["text"]}])
        assert accepts(record('{"a": 1}'))
        assert accepts(record("text"))
        assert not accepts(record("[]"))


@pytest.mark.parametrize(
    ("policy", "passes"),
    [
        ({}, True),
        ({"store": ["shop"]}, True),
        ({"store": [{"anything-but": "shop"}]}, False),
        ({"price": [{"numeric": [">=", 100]}]}, True),
        ({"price": ["100.5"]}, False),
        ({"interests": ["rugby"]}, True),
        ({"interests": ["golf"]}, False),
        ({"store": ["shop"], "price": [1]}, False),
        ({"$or": [{"price": [1]}, {"store": [{"prefix": "sh"}]}]}, True),
        ({"blob": [{"exists": True}]}, False),
        ({"none": [{"exists": False}]}, True),
    ],
)
def test_a_policy_looks_at_attributes(policy: dict[str, Any], passes: bool) -> None:
    attributes = {
        "store": TopicAttribute("String", "shop"),
        "price": TopicAttribute("Number", "100.5"),
        "interests": TopicAttribute("String.Array", '["rugby", null, 3]'),
        "blob": TopicAttribute("Binary", "/wA="),
        "broken": TopicAttribute("Number", "many"),
    }
    assert subscription_filter(policy, "MessageAttributes")(Published("t", "1", "", AT, None, attributes)) is passes


@pytest.mark.parametrize(
    ("message", "passes"), [('{"a": {"b": "x"}}', True), ('{"a": {"b": "y"}}', False), ("x", False), ("{", False)]
)
def test_a_policy_may_look_at_the_body(message: str, passes: bool) -> None:
    accepts = subscription_filter({"a": {"b": ["x"]}}, "MessageBody")
    assert accepts(Published("t", "1", message, AT)) is passes


PROJECT = {
    "service": "s",
    "aws": {"account": "123456789012", "region": "eu-west-1"},
    "queues": {"plain": {}, "raw": {}, "picky": {}, "orders.fifo": {"fifo": True}},
    "topics": {
        "news": {
            "queues": [
                {"queue": "plain"},
                {"queue": "raw", "raw": True},
                {"queue": "picky", "filter": {"kind": ["rare"]}},
            ]
        },
        "fifo": {"fifo": True, "queues": [{"queue": "orders.fifo", "raw": True}]},
    },
    "functions": {
        "native": {"handler": "a.b", "events": [{"topic": "news"}]},
        "lambda": {
            "handler": "a.b",
            "asynchronous": {},
            "events": [
                {"topic": "news", "filter": {"n": [1]}, "scope": "MessageBody"},
                {"bus": "default", "pattern": {"source": ["shop"], "detail": {"total": [{"numeric": [">", 9]}]}}},
                {"bus": "default", "pattern": {"account": ["123456789012"]}, "input_path": "$.detail.total"},
                {"bus": "mine", "input": {"fixed": True}},
            ],
        },
    },
}


@pytest.fixture
def subscribers() -> Subscribers:
    return Subscribers(Project.model_validate(PROJECT))


def by_queue(puts: list[Put]) -> dict[str, Message]:
    assert len({put.queue for put in puts}) == len(puts)
    return {put.queue: put.message for put in puts}


def test_a_publication_reaches_queues_and_functions(subscribers: Subscribers) -> None:
    published = Published("news", "95df", '{"n": 1}', AT, attributes={"kind": TopicAttribute("Number", "1")})
    found = by_queue(subscribers.topic_puts(published))
    assert set(found) == {"plain", "raw", "native", "lambda.async"}
    envelope = found["plain"].json()
    assert (envelope["Message"], envelope["MessageId"]) == ('{"n": 1}', "95df")
    assert envelope["TopicArn"] == "arn:aws:sns:eu-west-1:123456789012:news"
    assert found["plain"].attributes == {}
    assert found["raw"].body == b'{"n": 1}'
    assert msgspec.json.decode(found["raw"].attributes["millrace-attributes"])["kind"]["DataType"] == "Number"
    assert found["native"].attributes["millrace-event"] == "topic"
    assert msgspec.json.decode(found["lambda.async"].body, type=Published) == published
    assert subscribers.topic_puts(published) == subscribers.topic_puts(published), "a repeat is the same messages"
    assert subscribers.topic_puts(Published("nobodys", "1", "x", AT)) == []


def test_a_filter_keeps_what_it_does_not_match(subscribers: Subscribers) -> None:
    rare = Published("news", "1", "{}", AT, attributes={"kind": TopicAttribute("String", "rare")})
    assert set(by_queue(subscribers.topic_puts(rare))) == {"plain", "raw", "native", "picky"}


def test_a_fifo_queue_gets_group_and_deduplication(subscribers: Subscribers) -> None:
    (put,) = subscribers.topic_puts(Published("fifo", "1", "x", AT, group="g", dedupe="d"))
    assert (put.message.group, put.dedupe, put.message.attributes["millrace-dedupe"]) == ("g", "d", "d")
    (put,) = subscribers.topic_puts(Published("fifo", "1", "x", AT))
    assert put.message.group
    assert len(put.dedupe) == 64, "by content"


def test_an_event_reaches_the_functions_whose_rule_matches(subscribers: Subscribers) -> None:
    post = BusPost("default", "7bf7", "shop", "Order", msgspec.Raw(b'{"total":10}'), AT)
    whole, part = subscribers.bus_puts(post)
    assert {whole.queue, part.queue} == {"lambda.async"}
    assert whole.message.id != part.message.id
    assert whole.message.attributes["millrace-event"] == "bus"
    assert (part.message.attributes["millrace-event"], part.message.body) == ("raw", b"10")
    cheap = BusPost("default", "7bf8", "shop", "Order", msgspec.Raw(b'{"total":9}'), AT)
    assert [put.message.body for put in subscribers.bus_puts(cheap)] == [b"9"]
    (fixed,) = subscribers.bus_puts(BusPost("mine", "1", "s", "t", msgspec.Raw(b"{}"), AT))
    assert fixed.message.json() == {"fixed": True}
