"""Event source mappings of a project, as boto3's `lambda` client would read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.app.event_sources import event_sources
from millrace.aws.endpoint.call import Call
from millrace.aws.endpoint.event_sources import EventSources
from millrace.aws.endpoint.refusal import Refusal
from millrace.config.schema import Project

PATH = "/2015-03-31/event-source-mappings/"
SQS = "arn:aws:sqs:eu-west-1:123456789012"
LAMBDA = "arn:aws:lambda:eu-west-1:123456789012:function"
PROJECT = Project.model_validate(
    {
        "service": "s",
        "aws": {"account": "123456789012", "region": "eu-west-1"},
        "queues": {"orders": {}, "late.fifo": {"fifo": True}},
        "tables": {"counts": {}},
        "functions": {
            "work": {
                "handler": "a.b",
                "name": "s-dev-work",
                "batch": {"size": 7},
                "events": [
                    {"queue": "orders", "concurrency": 5, "filter": [{"body": {"a": [1]}}], "batch": {"wait": 20.0}},
                    {"queue": "late.fifo", "enabled": False, "partial": False},
                    {"http": "POST /w"},
                ],
            },
            "follow": {
                "handler": "a.c",
                "events": [{"table": "counts", "tries": 3, "start": "latest", "on_error": "batch"}],
            },
            "model": {"model": "a.M", "events": [{"queue": "orders"}]},
        },
    }
)
SOURCES = EventSources(list(event_sources(PROJECT)))


def ask(query: str = "", path: str = PATH, method: str = "GET") -> Any:
    return SOURCES.answer(Call(method, path, query, {}, b"{}"))


def by_source(query: str = "") -> dict[str, Any]:
    return {each["EventSourceArn"]: each for each in ask(query)["EventSourceMappings"]}


def test_queues_and_streams_of_handlers_are_listed() -> None:
    found = by_source()
    assert len(found) == 3, "a model is no Lambda function"
    orders = found[f"{SQS}:orders"]
    assert orders.pop("UUID")
    assert orders == {
        "EventSourceArn": f"{SQS}:orders",
        "FunctionArn": f"{LAMBDA}:s-dev-work",
        "BatchSize": 1,
        "MaximumBatchingWindowInSeconds": 20,
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": '{"body":{"a":[1]}}'}]},
        "ScalingConfig": {"MaximumConcurrency": 5},
    }
    late = found[f"{SQS}:late.fifo"]
    assert (late["State"], late["BatchSize"], late["FunctionResponseTypes"]) == ("Disabled", 7, [])
    (stream,) = (each for arn, each in found.items() if "table/counts" in arn)
    assert stream["FunctionArn"] == f"{LAMBDA}:follow"
    settings = ("StartingPosition", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "BisectBatchOnFunctionError")
    assert [stream[name] for name in settings] == ["LATEST", 3, -1, False]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("FunctionName=s-dev-work", 2),
        (f"FunctionName={LAMBDA}:follow", 1),
        (f"EventSourceArn={SQS}:orders", 1),
        (f"FunctionName=s-dev-work&EventSourceArn={SQS}:orders", 1),
        ("FunctionName=nobody", 0),
    ],
)
def test_by_function_and_source(query: str, count: int) -> None:
    assert len(by_source(query)) == count


def test_one_and_pages() -> None:
    first = ask("MaxItems=2")
    rest = ask(f"MaxItems=2&Marker={first['NextMarker']}")
    ids = [each["UUID"] for page in (first, rest) for each in page["EventSourceMappings"]]
    assert (len(set(ids)), "NextMarker" in rest) == (3, False)
    assert ask(path=PATH + ids[0]) == first["EventSourceMappings"][0]
    assert json.dumps(first)


@pytest.mark.parametrize(
    ("method", "path", "query", "code"),
    [
        ("GET", PATH + "nobody", "", "ResourceNotFoundException"),
        ("GET", PATH, "Marker=x", "InvalidParameterValueException"),
        ("POST", PATH, "", "InvalidParameterValueException"),
        ("PUT", PATH + "x", "", "InvalidParameterValueException"),
        ("DELETE", PATH + "x", "", "InvalidParameterValueException"),
    ],
)
def test_what_is_refused(method: str, path: str, query: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        ask(query, path, method)
    assert refused.value.code == code


def test_another_path_is_somebody_elses() -> None:
    assert ask(path="/2015-03-31/functions/") is None
