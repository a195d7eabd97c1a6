"""Asynchronous calls, as Lambda has them: two more tries after one and two minutes, then destinations."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest
from flow_parts import Bench, running

from millrace.aws import envelopes

EVENT = {"order": 7}
ID = "11111111-2222-4333-8444-555555555555"


def fail(event: Any, context: Any) -> None:
    raise ValueError("no such order")


async def give_up(bench: Bench) -> None:
    await bench.settle()
    await bench.after(60.0)
    await bench.after(120.0)


async def test_two_more_tries_after_one_and_two_minutes_then_a_dead_letter() -> None:
    ids: set[str] = set()

    def function(event: Any, context: Any) -> None:
        ids.add(context.aws_request_id)
        fail(event, context)

    async with running(function, f={"asynchronous": {}}) as bench:
        await bench.call(ID, EVENT)
        await bench.settle()
        assert len(bench.replicas.runs) == 1
        await bench.after(59.0)
        assert len(bench.replicas.runs) == 1
        await bench.after(1.0)
        assert len(bench.replicas.runs) == 2
        await bench.after(119.0)
        assert len(bench.replicas.runs) == 2
        await bench.after(1.0)
        assert len(bench.replicas.runs) == 3
        assert await bench.dead("f.async") == [ID]
        await bench.after(3600.0)
    assert len(bench.replicas.runs) == 3
    assert ids == {ID}, "one request id for all tries"


async def test_what_succeeds_at_a_later_try_is_done() -> None:
    def function(event: Any, context: Any) -> str:
        if len(bench.replicas.runs) < 2:
            fail(event, context)
        return "ok"

    async with running(function, f={"asynchronous": {"on_failure": {"queue": "bad"}}}, queues={"bad": {}}) as bench:
        await bench.call(ID, EVENT)
        await bench.settle()
        await bench.after(60.0)
        record = await bench.results.get(ID)
        assert record is not None
        assert (record.state, record.attempts) == ("done", 2)
        assert await bench.messages("bad") == []


async def test_the_envelope_of_a_call_that_was_given_up_is_the_documented_one() -> None:
    asynchronous = {"on_failure": {"queue": "bad"}}
    aws = {"account": "123456789012", "region": "eu-west-1"}
    mine = {"asynchronous": asynchronous, "name": "shop-dev-f"}
    async with running(fail, f=mine, queues={"bad": {}}, aws=aws) as bench:
        await bench.call(ID, EVENT)
        await give_up(bench)
        (message,) = await bench.messages("bad")
        assert await bench.dead("f.async") == [], "it was handed over"
        assert await bench.depth("f.async") == 0
        record = await bench.results.get(ID)
        assert record is not None
        assert record.state == "dead"
    envelope = message.json()
    trace = envelope["responsePayload"].pop("stackTrace")
    assert any("no such order" in line or "fail" in line for line in trace)
    assert envelope == {
        "version": "1.0",
        "timestamp": "2023-11-14T22:16:20.000Z",
        "requestContext": {
            "requestId": ID,
            "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:shop-dev-f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": EVENT,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "no such order", "errorType": "ValueError", "requestId": ID},
    }
    assert message.attributes == {}


async def test_the_envelope_of_a_success() -> None:
    asynchronous = {"on_success": {"queue": "good"}}
    async with running(lambda *_: {"n": 1}, f={"asynchronous": asynchronous}, queues={"good": {}}) as bench:
        await bench.call(ID, EVENT)
        await bench.settle()
        (message,) = await bench.messages("good")
    envelope = message.json()
    assert envelope["requestContext"]["condition"] == "Success"
    assert envelope["requestContext"]["approximateInvokeCount"] == 1
    assert envelope["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert (envelope["requestPayload"], envelope["responsePayload"]) == (EVENT, {"n": 1})


async def test_a_dead_letter_queue_gets_the_event_itself_with_lambdas_attributes() -> None:
    async with running(fail, f={"asynchronous": {"dead_letter": {"queue": "dlq"}}}, queues={"dlq": {}}) as bench:
        await bench.call(ID, EVENT)
        await give_up(bench)
        (message,) = await bench.messages("dlq")
        assert await bench.dead("f.async") == []
    assert message.json() == EVENT
    typed = msgspec.json.decode(message.attributes["millrace-attributes"])
    assert (message.attributes["RequestID"], message.attributes["ErrorMessage"]) == (ID, "no such order")
    assert typed == {"ErrorCode": {"DataType": "Number", "StringValue": "200"}}


async def test_a_request_payload_is_the_event_that_the_handler_saw() -> None:
    seen: list[Any] = []
    asynchronous = {"on_success": {"queue": "good"}}
    settings = {"asynchronous": asynchronous}
    async with running(lambda event, _: seen.append(event), f=settings, queues={"good": {}}) as bench:
        tick = {"rule": "rate(1 day)", "function": "f", "at": 1_700_000_000.0}
        await bench.put("f.async", "tick", body=tick, **{"millrace-event": "schedule"})
        await bench.settle()
        (message,) = await bench.messages("good")
    assert seen[0]["detail-type"] == "Scheduled Event"
    assert message.json()["requestPayload"] == seen[0]


@pytest.mark.parametrize(("tries", "runs"), [(0, 1), (1, 2)])
async def test_as_many_tries_as_are_asked_for(tries: int, runs: int) -> None:
    async with running(fail, f={"asynchronous": {"tries": tries}}) as bench:
        await bench.call(ID, EVENT)
        await give_up(bench)
        assert await bench.dead("f.async") == [ID]
    assert len(bench.replicas.runs) == runs


async def test_a_call_is_given_up_when_its_next_try_would_come_too_late() -> None:
    asynchronous = {"max_age": 90.0, "on_failure": {"queue": "bad"}}
    async with running(fail, f={"asynchronous": asynchronous}, queues={"bad": {}}) as bench:
        await bench.call(ID, EVENT)
        await give_up(bench)
        (message,) = await bench.messages("bad")
    assert len(bench.replicas.runs) == 2
    assert message.json()["requestContext"]["condition"] == "EventAgeExceeded"
    assert message.json()["requestContext"]["approximateInvokeCount"] == 2


async def test_a_call_that_was_too_old_when_its_turn_came_never_ran() -> None:
    asynchronous = {"max_age": 60.0, "on_failure": {"queue": "bad"}}
    async with running(lambda *_: None, f={"asynchronous": asynchronous}, queues={"bad": {}}) as bench:
        bench.clock.jump(-100.0)
        await bench.call("old", EVENT)
        bench.clock.jump(100.0)
        await bench.settle()
        (envelope,) = [each.json() for each in await bench.messages("bad")]
    assert bench.replicas.runs == []
    assert envelope["requestContext"]["condition"] == "EventAgeExceeded"
    assert envelope["requestContext"]["approximateInvokeCount"] == 0
    assert {"responseContext", "responsePayload"}.isdisjoint(envelope)


async def test_a_destination_may_be_a_function_a_topic_or_a_bus() -> None:
    others = {
        "called": {"handler": "a.b", "asynchronous": {}},
        "subscribed": {"handler": "a.b", "events": [{"topic": "t"}]},
        "ruled": {
            "handler": "a.b",
            "events": [{"bus": "default", "pattern": {"detail-type": [{"suffix": "- Failure"}], "source": ["lambda"]}}],
        },
    }
    targets = [({"function": "called"}, "called.async"), ({"topic": "t"}, "subscribed"), ({"bus": "default"}, "ruled")]
    for target, queue in targets:
        sections = {"topics": {"t": {"queues": [{"queue": "q"}]}}, "queues": {"q": {}}, "functions": dict(others)}
        async with running(fail, f={"asynchronous": {"tries": 0, "on_failure": target}}, **sections) as bench:
            await bench.call(ID, EVENT)
            await bench.settle()
            (message,) = await bench.messages(queue)
            told = message.json()
            envelope = told
            if "topic" in target:
                envelope = msgspec.json.decode(told["message"])
                assert len(await bench.messages("q")) == 1
            elif "bus" in target:
                envelope = told["detail"]
            assert envelope["requestPayload"] == EVENT
            assert await bench.dead("f.async") == []


async def test_a_call_that_is_redriven_and_fails_again_is_handed_over_again() -> None:
    settings = {"asynchronous": {"tries": 0, "on_failure": {"queue": "bad"}}}
    async with running(fail, f=settings, queues={"bad": {}}) as bench:
        await bench.call(ID, EVENT)
        await bench.settle()
        await bench.after(100_000.0)
        await bench.call(ID, EVENT)
        await bench.settle()
        assert len(await bench.messages("bad")) == 2


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        ("0198f00d4a7ef123456789abcdef0123", "0198f00d-4a7e-7123-a567-89abcdef0123"),
        ("3F2504E0-4F89-11D3-9A0C-0305E82C3301", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c330?", ""),
        ("order-7", ""),
    ],
)
def test_a_request_id_is_a_uuid_whatever_the_messages_is(message: str, request_id: str) -> None:
    found = envelopes.request_id(message)
    assert str(uuid.UUID(found)) == found == envelopes.request_id(message)
    assert found != envelopes.request_id(message[:-1] + "8")
    assert request_id in ("", found)
