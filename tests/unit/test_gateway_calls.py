"""A handler's path is a synchronous call, with API Gateway's event and response shapes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from gateway_parts import Parts, dead, done, problem

from millrace.errors import QueueFull
from millrace.source import HttpRequest
from millrace.sources.http import Route
from millrace.types import Failure, Put


def answering(value: Any) -> Parts:
    return Parts(answer=lambda put: done(put, value))


async def test_a_request_is_handed_to_the_handler_whole() -> None:
    parts = answering("hi")
    headers = [("X-Twice", "1"), ("x-twice", "2"), ("content-type", "text/plain")]
    async with parts.client() as client:
        await client.put("/hello/w%20orld?a=1&a=2&b=", content=b"\xffbody", headers=headers)
    (put,) = parts.memory.puts
    assert parts.broker.puts == []
    assert put.queue == "hello"
    assert put.message.attributes == {
        "content-type": "application/json",
        "millrace-event": "http",
        "millrace-payload": "v2",
    }
    event = msgspec.json.decode(put.message.body, type=HttpRequest)
    assert (event.method, event.path, event.route) == ("PUT", "/hello/w orld", "/hello/{name}")
    assert event.path_parameters == {"name": "w orld"}
    assert event.query == [("a", "1"), ("a", "2"), ("b", "")]
    assert event.body == b"\xffbody"
    assert event.source_ip == "127.0.0.1"
    assert dict(event.headers)["x-twice"] == "1,2"
    assert dict(event.headers)["host"] == "127.0.0.1:8400"
    assert event.at > 0


async def test_what_the_handler_returns_is_the_response() -> None:
    value = {"statusCode": 201, "headers": {"X-A": "é"}, "cookies": ["a=1", "b=2"], "body": "made"}
    async with answering(value).client() as client:
        response = await client.post("/hello/you")
    assert (response.status_code, response.text) == (201, "made")
    assert response.headers["x-a"] == "é"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"


@pytest.mark.parametrize("value", ["text", {"a": 1}, None])
async def test_any_other_json_is_the_body_in_payload_v2(value: Any) -> None:
    async with answering(value).client() as client:
        response = await client.get("/hello/you")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == value if isinstance(value, str) else response.json() == value


async def test_a_response_without_a_body_has_none() -> None:
    async with answering({"statusCode": 204, "body": "lost"}).client() as client:
        response = await client.delete("/hello/you")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-length" not in response.headers


async def test_a_header_beyond_latin_1_goes_as_utf_8() -> None:
    async with answering({"statusCode": 200, "headers": {"x-a": "→"}}).client() as client:
        response = await client.get("/hello/you")
    assert "→".encode() in [value for name, value in response.headers.raw if name == b"x-a"]


@pytest.mark.parametrize(
    ("path", "message"), [("/hello/you", "Internal Server Error"), ("/old", "Internal server error")]
)
async def test_a_handler_that_fails_is_a_502_that_tells_no_more(
    path: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts(answer=dead)
    async with parts.client() as client:
        response = await client.get(path)
    told = problem(response, 502, "function-failed")
    assert told["message"] == message
    assert told["id"] == parts.memory.messages[0].id
    assert "too dark" not in response.text
    assert not caplog.text  # the function's log has it, with where it happened


async def test_a_dead_call_without_a_failure_is_a_502_too(caplog: pytest.LogCaptureFixture) -> None:
    def vanished(put: Put) -> Any:
        return msgspec.structs.replace(dead(put), failure=None)

    async with Parts(answer=vanished).client() as client:
        told = problem(await client.get("/hello/you"), 502, "function-failed")
    assert f"call {told['id']}: the call became a dead letter" in caplog.text


async def test_a_result_that_is_no_response_is_a_502_in_payload_v1(caplog: pytest.LogCaptureFixture) -> None:
    async with answering({"message": "no statusCode"}).client() as client:
        problem(await client.get("/old"), 502, "function-failed")
    assert "statusCode" in caplog.text


async def test_a_handler_that_does_not_answer_is_a_504_and_its_call_is_taken_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = Parts(routes=[Route("GET", "/slow", "slow", "slow", "handler", timeout_s=0.0)])
    async with parts.client() as client:
        told = problem(await client.get("/slow"), 504, "function-timeout")
    assert told["message"] == "Service Unavailable"
    assert parts.memory.purged == [told["id"]]
    assert f"call {told['id']}: no answer from 'slow' within 0 s" in caplog.text


async def test_a_call_that_a_broker_cannot_take_back_is_left_to_its_age() -> None:
    parts = Parts(routes=[Route("GET", "/slow", "slow", "slow.calls", "handler", timeout_s=0.0)])
    parts.memory.capabilities = msgspec.structs.replace(parts.memory.capabilities, browsable=False)
    async with parts.client() as client:
        problem(await client.get("/slow"), 504, "function-timeout")
    assert parts.memory.purged == []


async def test_a_call_whose_time_limit_ended_in_the_function_is_a_504_too() -> None:
    def late(put: Put) -> Any:
        return msgspec.structs.replace(dead(put), failure=Failure("Sandbox.Timedout", "after 3.00 seconds"))

    async with Parts(answer=late).client() as client:
        problem(await client.get("/hello/you"), 504, "function-timeout")


async def test_a_call_with_a_key_is_not_taken_back_since_others_may_wait_for_it() -> None:
    parts = Parts(routes=[Route("GET", "/slow", "slow", "slow", "handler", timeout_s=0.0)])
    async with parts.client(headers={"idempotency-key": "k"}) as client:
        problem(await client.get("/slow"), 504, "function-timeout")
    assert parts.memory.purged == []


async def test_a_full_queue_of_calls_is_a_429() -> None:
    parts = Parts()
    parts.memory.refusal = QueueFull("100 calls wait")
    async with parts.client() as client:
        problem(await client.get("/hello/you"), 429, "queue-full")


async def test_the_same_key_calls_the_handler_once() -> None:
    parts = answering({"statusCode": 200, "body": "once"})
    async with parts.client() as client:
        answers = [await client.post("/hello/you", headers={"idempotency-key": "k"}) for _ in range(2)]
    assert [answer.text for answer in answers] == ["once", "once"]
    assert len(parts.memory.puts) == 1


async def test_a_drain_lets_calls_finish() -> None:
    def answer(put: Put) -> Any:
        parts.is_draining = True
        return done(put, "finished")

    parts = Parts(answer=answer)
    async with parts.client() as client:
        assert (await client.get("/hello/you")).text == "finished"
