"""What is posted becomes messages, all or none, and is answered 202, or 200 when the result comes in time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from gateway_parts import Parts, dead, done, problem

from millrace import errors
from millrace.broker import Peeked
from millrace.brokers.limits import check_texts
from millrace.sources.http import Route
from millrace.types import Death, Failure, Message

NDJSON = {"content-type": "application/x-ndjson"}
PNG = {"content-type": "image/png"}


async def test_a_raw_body_is_one_message_and_202_says_where_its_result_will_be() -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", content=b"\x89PNG", headers=PNG)
    assert response.status_code == 202
    (put,) = parts.broker.puts
    assert response.json() == {"id": put.message.id, "queue": "images"}
    assert response.headers["location"] == f"/results/{put.message.id}"
    assert (put.queue, put.message.body) == ("images", b"\x89PNG")
    assert put.message.attributes == PNG
    assert put.message.sent_at > 0


async def test_json_is_kept_as_it_was_sent() -> None:
    parts = Parts()
    async with parts.client() as client:
        await client.post("/images", content=b'{"b": 1,\n "a": 2}', headers={"content-type": "application/ld+json"})
    assert parts.broker.messages[0].body == b'{"b": 1,\n "a": 2}'
    assert parts.broker.messages[0].content_type == "application/ld+json"


async def test_parameters_of_path_and_query_become_attributes_and_the_path_wins() -> None:
    parts = Parts()
    async with parts.client() as client:
        await client.post("/pets/rex/images?pet=tom&size=1&size=2&empty=", content=b"x", headers=PNG)
    assert parts.broker.messages[0].attributes == {"pet": "rex", "size": "1,2", "empty": "", **PNG}


@pytest.mark.parametrize("half", ["%ED%A0%80", "%F0%9F", "%FF"])
async def test_parameters_that_are_no_utf8_become_texts_that_are(half: str) -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post(f"/pets/{half}/images?{half}={half}", content=b"x", headers=PNG)
        given = {**PNG, "millrace-group": b"\xed\xa0\x80", "millrace-id": b"\xed\xa0\x80-"}
        whole = await client.post("/queues/labels", content=b"x", headers=given)
    assert (response.status_code, whole.status_code) == (202, 202)
    assert "\ufffd" in parts.broker.messages[0].attributes["pet"]
    check_texts(parts.broker.puts)


async def test_each_file_of_a_form_is_a_message_and_its_fields_are_attributes_of_all() -> None:
    parts = Parts()
    files = [("file", ("a.png", b"A", "image/png")), ("file", ("ü.json", b'{"a":1}', "application/json"))]
    async with parts.client() as client:
        response = await client.post("/images", files=files, data={"album": ["x", "y"]})
    assert response.status_code == 202
    assert response.json() == {"ids": [message.id for message in parts.broker.messages], "queue": "images"}
    assert "location" not in response.headers
    assert parts.broker.commits == 1
    assert [message.body for message in parts.broker.messages] == [b"A", b'{"a":1}']
    assert [message.attributes for message in parts.broker.messages] == [
        {"album": "x,y", "content-type": "image/png", "filename": "a.png"},
        {"album": "x,y", "content-type": "application/json", "filename": "ü.json"},
    ]


async def test_a_form_with_one_file_is_answered_as_one_message() -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", files={"file": ("a", b"A")})
    assert response.json()["id"] == parts.broker.messages[0].id
    assert parts.broker.messages[0].attributes["content-type"] == "application/octet-stream"


async def test_each_line_of_ndjson_is_a_message_in_one_commit() -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", content=b'{"n":1}\r\n\n 2 \n"\xc3\xbc"', headers=NDJSON)
    assert response.status_code == 202
    assert [message.body for message in parts.broker.messages] == [b'{"n":1}', b"2", b'"\xc3\xbc"']
    assert {message.content_type for message in parts.broker.messages} == {"application/json"}
    assert len(set(response.json()["ids"])) == 3
    assert parts.broker.commits == 1


async def test_a_bad_line_refuses_all_lines_by_its_number() -> None:
    parts = Parts()
    async with parts.client() as client:
        told = problem(await client.post("/images", content=b'1\n\n{"a":}\n4', headers=NDJSON), 400, "not-json")
    assert told["line"] == 3
    assert told["got"] == '{"a":}'
    assert "Line 3" in told["detail"]
    assert parts.broker.puts == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"{", "truncated"),
        (b"{'a': 1}", "malformed"),
        (b'"\xff"', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
async def test_what_is_declared_as_json_must_be_json(body: bytes, why: str) -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", content=body, headers={"content-type": "application/json"})
    told = problem(response, 400, "not-json")
    assert why in told["detail"]
    assert told["expected"] == "valid JSON in UTF-8"
    assert len(told["got"]) < 100
    assert parts.broker.puts == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b' {"a": 1}', "application/json"),
        (b"[1, 2]", "application/json"),
        (b"{not json", "text/plain; charset=utf-8"),
        (b"a=1&b=2", "text/plain; charset=utf-8"),
        ("schön".encode(), "text/plain; charset=utf-8"),
        (b"\x89PNG\r\n\x1a\n", "application/octet-stream"),
        (b"nul\0", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
async def test_what_curl_sends_without_a_type_is_known_by_its_content(
    body: bytes, content_type: str, headers: dict[str, str]
) -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", content=body, headers=headers)
    assert response.status_code == 202
    assert parts.broker.messages[0].body == body
    assert parts.broker.messages[0].attributes["content-type"] == content_type


async def test_prefer_wait_answers_with_the_result() -> None:
    parts = Parts(answer=lambda put: done(put, {"label": "cat"}))
    async with parts.client() as client:
        response = await client.post("/images", content=b"x", headers={**PNG, "prefer": 'respond-async, Wait="2.5"'})
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=2.5"
    assert response.json()["value"] == {"label": "cat"}
    assert response.json()["state"] == "done"


async def test_prefer_wait_of_several_messages_answers_with_all_results() -> None:
    parts = Parts(answer=lambda put: done(put, put.message.body.decode()))
    async with parts.client() as client:
        response = await client.post("/images", content=b"1\n2", headers={**NDJSON, "prefer": "wait=2"})
    assert response.status_code == 200
    assert [result["value"] for result in response.json()["results"]] == ["1", "2"]


async def test_prefer_wait_answers_202_when_time_is_up() -> None:
    parts = Parts(max_wait_s=0.25)
    async with parts.client() as client:
        response = await client.post("/images", content=b"1\n2", headers={**NDJSON, "prefer": "wait=900"})
    assert response.status_code == 202
    assert "preference-applied" not in response.headers
    assert len(parts.results.waits) == 1
    assert parts.results.waits[0][1] <= 0.25


@pytest.mark.parametrize("prefer", ["wait=", "wait=soon", "wait=-1", "wait=nan", "wait=inf", "return=minimal", ";;,="])
async def test_a_preference_that_is_not_understood_is_ignored(prefer: str) -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", content=b"x", headers={**PNG, "prefer": prefer})
    assert response.status_code == 202
    assert parts.results.waits == []


@pytest.mark.parametrize(("retry", "status"), [(False, 422), (None, 500)])
async def test_a_message_that_failed_while_its_sender_waited_is_a_problem(retry: bool | None, status: int) -> None:
    parts = Parts(answer=lambda put: dead(put, retry=retry))
    async with parts.client() as client:
        response = await client.post("/images", content=b"x", headers={**PNG, "prefer": "wait=1"})
    told = problem(response, status, "function-failed")
    assert told["failure"] == {"type": "builtins.ValueError", "message": "too dark"}
    assert told["id"] == parts.broker.messages[0].id
    assert told["attempts"] == 5
    assert told["result"] == f"/results/{told['id']}"


@pytest.mark.parametrize(("reason", "status"), [("dead", 422), ("failed", 500)])
async def test_an_input_that_dead_on_declares_hopeless_is_the_clients_fault(reason: Any, status: int) -> None:
    parts = Parts(answer=lambda put: dead(put))
    message = Message("k")
    parts.broker.buried = [Peeked(message, "ready", 1, Death(reason, Failure("T", "m"), "images", 1, 1.0, 1.0))]
    async with parts.client() as client:
        response = await client.post("/queues/images", content=b"x", headers={"millrace-id": "k", "prefer": "wait=1"})
    problem(response, status, "function-failed")


async def test_a_wait_ends_when_the_result_comes() -> None:
    parts = Parts()
    parts.results.patient = True
    async with parts.client() as client:
        asked = asyncio.create_task(client.post("/images", content=b"x", headers={**PNG, "prefer": "wait=60"}))
        await parts.results.waiting.wait()
        await parts.results.finish(done(parts.broker.puts[0], 7))
        response = await asked
    assert response.json()["value"] == 7


async def test_the_same_key_gives_the_first_id_and_the_first_result() -> None:
    parts = Parts(answer=lambda put: done(put, "first"))
    key = {**PNG, "idempotency-key": "order 17"}
    async with parts.client() as client:
        first = await client.post("/images", content=b"x", headers=key)
        again = await client.post("/images", content=b"y", headers={**key, "prefer": "wait=1"})
        other = await client.post("/queues/labels", content=b"x", headers=key)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["value"] == "first"
    assert other.json()["id"] != first.json()["id"]
    assert [message.body for message in parts.broker.messages] == [b"x", b"x"]
    assert "order" not in first.json()["id"]


async def test_a_repeat_says_that_it_is_one() -> None:
    parts = Parts()
    async with parts.client() as client:
        one = [await client.post("/images", content=b"x", headers={**PNG, "idempotency-key": "k"}) for _ in "12"]
        many = [await client.post("/images", content=b"1\n2", headers={**NDJSON, "idempotency-key": "m"}) for _ in "12"]
    assert [response.json().get("duplicate") for response in one] == [None, True]
    assert [response.json().get("duplicates") for response in many] == [None, 2]
    assert many[0].json()["ids"] == many[1].json()["ids"]
    assert len(set(many[0].json()["ids"])) == 2
    assert len(parts.broker.puts) == 3


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_a_sensible_length(key: str) -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", content=b"x", headers={**PNG, "idempotency-key": key})
    assert problem(response, 400, "bad-request")["got"] == f"{len(key)} characters"
    assert parts.broker.puts == []


async def test_accepted_messages_are_counted_once() -> None:
    parts = Parts()
    async with parts.client() as client:
        for _ in range(2):
            await client.post("/images", content=b"1\n2", headers={**NDJSON, "idempotency-key": "m"})
        metrics = (await client.get("/metrics")).text
    assert 'millrace_messages_accepted_total{queue="images"} 2.0' in metrics


REFUSALS = [
    (errors.QueueFull("images is full"), 429, "queue-full", True),
    (errors.TooLarge("over 256 KB"), 413, "too-large", False),
    (errors.UnknownQueue("no queue images"), 404, "no-such-queue", False),
    (errors.Draining("bye"), 503, "draining", True),
    (errors.BrokerError("amqp://secret.inside: connection refused"), 503, "broker-unavailable", True),
    (errors.StorageBusy("locked: /srv/secret/place"), 503, "storage-busy", True),
    (errors.StorageFull("no space: /srv/secret/place"), 507, "storage-full", False),
    (errors.StorageReadOnly("read-only: /srv/secret/place"), 503, "storage-unavailable", True),
    (errors.StorageDamaged("not intact: /srv/secret/place"), 503, "storage-unavailable", True),
    (RuntimeError("/srv/secret/place"), 500, "internal", False),
]


@pytest.mark.parametrize(("refusal", "status", "kind", "again"), REFUSALS)
async def test_a_put_that_fails_is_a_problem_that_tells_no_secrets(
    refusal: Exception, status: int, kind: str, again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts()
    parts.broker.refusal = refusal
    async with parts.client() as client:
        response = await client.post("/images", content=b"x", headers=PNG)
    told = problem(response, status, kind)
    assert ("retry-after" in response.headers) == again
    assert "secret" not in response.text
    if "secret" in str(refusal):
        assert told["error_id"] in caplog.text
        assert "secret" in caplog.text


async def test_a_draining_gateway_takes_nothing_new() -> None:
    parts = Parts()
    parts.is_draining = True
    async with parts.client() as client:
        for path in ("/images", "/queues/labels", "/hello/you"):
            response = await client.post(path, content=b"x", headers=PNG)
            problem(response, 503, "draining")
            assert int(response.headers["retry-after"]) > 0
    assert parts.broker.puts == parts.memory.puts == []


async def test_a_queue_takes_what_its_headers_say() -> None:
    parts = Parts()
    said = {"millrace-id": "a/b ü", "millrace-group": "g", "millrace-delay": "1.5", "millrace-ttl": "60"}
    raw = {name: value.encode("latin-1") for name, value in said.items()}
    async with parts.client() as client:
        response = await client.post("/queues/labels?lang=de", content=b"x", headers={**PNG, **raw})
    (put,) = parts.broker.puts
    assert (put.queue, put.delay_s, put.ttl_s) == ("labels", 1.5, 60.0)
    assert (put.message.id, put.message.group) == ("a/b ü", "g")
    assert put.message.attributes == {"lang": "de", **PNG}
    assert response.headers["location"] == "/results/a%2Fb%20%C3%BC"


async def test_a_functions_path_does_not_take_them() -> None:
    parts = Parts()
    async with parts.client() as client:
        await client.post("/images", content=b"x", headers={**PNG, "millrace-id": "mine"})
    assert parts.broker.messages[0].id != "mine"


@pytest.mark.parametrize("header", ["millrace-delay", "millrace-ttl"])
@pytest.mark.parametrize("value", ["-1", "soon", "nan", "inf"])
async def test_a_delay_is_a_number_of_seconds(header: str, value: str) -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/queues/labels", content=b"x", headers={**PNG, header: value})
    assert header in problem(response, 400, "bad-request")["detail"]
    assert parts.broker.puts == []


async def test_an_unknown_queue_is_told_with_its_likeness() -> None:
    parts = Parts()
    async with parts.client() as client:
        told = problem(await client.post("/queues/imagse", content=b"x"), 404, "no-such-queue")
        far = problem(await client.post("/queues/zzz", content=b"x"), 404, "no-such-queue")
    assert "Did you mean 'images'?" in told["detail"]
    assert "Did you mean" not in far["detail"]
    assert told["known"] == ["images", "labels"]


ENVELOPES = {"content-type": "application/vnd.millrace.messages+json"}


async def test_a_queue_takes_whole_messages_in_one_commit() -> None:
    parts = Parts()
    sent = [
        {"id": "a", "body": b"\xff", "attributes": {"content-type": "image/png", "k": "v"}, "group": "g"},
        {"body": b"{}", "delay_s": 2, "ttl_s": 3},
    ]
    async with parts.client() as client:
        response = await client.post("/queues/labels", content=msgspec.json.encode(sent), headers=ENVELOPES)
    first, second = parts.broker.puts
    assert parts.broker.commits == 1
    assert response.json()["ids"] == ["a", second.message.id]
    assert (first.message.body, first.message.group) == (b"\xff", "g")
    assert first.message.attributes == {"k": "v", "content-type": "image/png"}
    assert (second.delay_s, second.ttl_s) == (2.0, 3.0)
    assert second.message.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("sent", "status", "kind", "why"),
    [
        (b"{", 400, "not-json", "truncated"),
        (rb'[{"id": "\ud800"}]', 400, "not-json", "truncated"),
        (rb'[{"group": "\ud800"}]', 400, "not-json", "truncated"),
        (rb'[{"attributes": {"\udc00": "v"}}]', 400, "not-json", "surrogate"),
        (b'[{"id": "\xed\xa0\x80"}]', 400, "not-json", "not UTF-8"),
        (b"{}", 400, "bad-request", "Expected `array`"),
        (b"[]", 400, "bad-request", "empty"),
        (b'[{"body": "%%%"}]', 400, "bad-request", "$[0].body"),
        (b'[{}, {"bdoy": ""}]', 400, "bad-request", "$[1]"),
        (b'[{"delay_s": -1}]', 400, "bad-request", "delay_s"),
        (b'[{"attributes": {"millrace-event": "http"}}]', 400, "bad-request", "millrace-event"),
        (msgspec.json.encode([{"id": "x" * 600}]), 400, "bad-request", "id is too long"),
        (b"[{}, {}, {}, {}]", 413, "too-many", "more than 3"),
    ],
)
async def test_whole_messages_are_all_right_or_none_is_taken(sent: bytes, status: int, kind: str, why: str) -> None:
    parts = Parts(max_messages=3)
    async with parts.client() as client:
        response = await client.post("/queues/labels", content=sent, headers=ENVELOPES)
    assert why in problem(response, status, kind)["detail"]
    assert parts.broker.puts == []


async def test_a_model_can_be_asked_with_get() -> None:
    parts = Parts(routes=[Route("GET", "/rank", "rank", "images", "model")])
    async with parts.client() as client:
        response = await client.get("/rank?q=cats")
    assert response.status_code == 202
    assert parts.broker.messages[0].attributes["q"] == "cats"
