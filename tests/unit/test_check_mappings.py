"""What is said of events, topics, dead letters and destinations that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.config.check import check
from millrace.config.schema import Project


def found(severity: str = "error", **sections: Any) -> list[tuple[str, str]]:
    project = Project.model_validate({"service": "x", **sections})
    each = [finding for finding in check(project) if finding.severity == severity]
    return [(".".join(map(str, one.path)), f"{one.what}: {one.expected}, got {one.got}") for one in each]


def function(*events: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"f": {"handler": "a.b", "events": list(events), **settings}}


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ({"queue": "q", "filter": [{"body": {"a": [1]}}, {"body": {"a": [{"perfix": "x"}]}}]}, "filter.1.body.a.0"),
        ({"table": "t", "filter": [{"eventName": "INSERT"}]}, "filter.0.eventName"),
        ({"topic": "t", "filter": {"a": [{"numeric": ["=", "1"]}]}}, "filter.a.0.numeric.1"),
        ({"bus": "default", "pattern": {"detail": {"a": []}}}, "pattern.detail.a"),
    ],
)
def test_a_pattern_that_means_nothing(event: dict[str, Any], where: str) -> None:
    ((path, text),) = found(queues={"q": {}}, tables={"t": {}}, topics={"t": {}}, functions=function(event))
    assert path == f"functions.f.events.0.{where}"
    assert text.startswith("an event pattern: ")


def test_topics_and_their_queues_are_declared() -> None:
    topics = {"news": {"queues": [{"queue": "nowhere", "filter": {"a": "x"}}]}}
    assert [path for path, _ in found(topics=topics, functions=function({"topic": "nwes"}))] == [
        "topics.news.queues.0.queue",
        "topics.news.queues.0.filter.a",
        "functions.f.events.0.topic",
    ]


def test_dead_letters_go_to_another_queue_of_the_same_kind() -> None:
    queues = {"a": {"dead": "a"}, "b": {"dead": "nowhere"}, "c": {"dead": "d.fifo"}, "d.fifo": {"fifo": True}}
    assert found(queues=queues) == [
        ("queues.a.dead", "queues.a cannot be its own dead-letter queue: another queue, got 'a'"),
        ("queues.b.dead", "unknown queue 'nowhere': one of a, b, c, d.fifo, got "),
        ("queues.c.dead", "queues.c: its dead letters need a queue that is not FIFO: fifo: false there, got "),
    ]


def test_destinations_are_there_and_one_each() -> None:
    asynchronous = {
        "on_success": {"queue": "nowhere"},
        "on_failure": {"queue": "q", "function": "f"},
        "dead_letter": {"function": "f"},
    }
    paths = [path for path, _ in found(queues={"q": {}}, functions=function(asynchronous=asynchronous))]
    at = "functions.f.asynchronous"
    assert paths == [f"{at}.on_success.queue", f"{at}.on_failure", f"{at}.dead_letter"]
    event = {"table": "t", "on_failure": {"topic": "nowhere"}}
    ((path, _),) = found(tables={"t": {}}, functions=function(event))
    assert path == "functions.f.events.0.on_failure.topic"


def test_a_batch_of_a_fifo_queue_has_ten_messages_and_no_window_on_lambda() -> None:
    event = {"queue": "q", "batch": {"size": 11, "wait": 2.0}}
    queues = {"q": {"fifo": True}}
    assert found(queues=queues, functions=function(event, asynchronous={})) == [
        ("functions.f.events.0.batch.size", "a batch of the FIFO queue 'q' that Lambda refuses: 10 or less, got 11"),
        (
            "functions.f.events.0.batch.wait",
            "a batch window of the FIFO queue 'q', which has none on Lambda: no wait, got 2s",
        ),
    ]
    assert found(queues=queues, functions=function(event)) == [], "only where it is called as on Lambda"


def test_a_batch_window_has_lambdas_limits() -> None:
    def told(severity: str, **batch: Any) -> list[tuple[str, str]]:
        functions = function({"queue": "q"}, batch=batch, asynchronous={})
        return found(severity, queues={"q": {"lease": 999.0}}, functions=functions)

    refused = "a batch window that Lambda refuses: 5m or less, got 6m"
    assert told("error", size=1, wait=360.0) == [("functions.f.batch.wait", refused)]
    assert told("error", size=10_000, wait=300.0) == []
    ((path, _),) = told("warning", size=11)
    assert path == "functions.f.batch.size"


def test_one_event_for_each_table() -> None:
    ((path, _),) = found(tables={"t": {}}, functions=function({"table": "t"}, {"table": "t"}))
    assert path == "functions.f.events.1.table"
