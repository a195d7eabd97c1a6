"""A Pub/Sub-style push becomes one message, however often it is delivered, and 204 once it is durable."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from gateway_parts import Parts, problem
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import StorageFull
from millrace.source import Push
from millrace.sources.http import PushRoute
from millrace.sources.push import read_push

PUSHES = (PushRoute("/push/mailbox", "read", "mail", token="s3cret"), PushRoute("/push/open", "read", "mail"))
BODY = {
    "message": {
        "data": b64encode(b"hello").decode(),
        "attributes": {"from": "a@b"},
        "messageId": "17",
        "message_id": "17",
        "publishTime": "2021-02-26T19:13:55.749123456Z",
        "orderingKey": "box",
        "unknown": 1,
    },
    "subscription": "projects/p/subscriptions/s",
}


async def test_a_push_is_a_message() -> None:
    parts = Parts(pushes=PUSHES)
    async with parts.client() as client:
        response = await client.post("/push/open", json=BODY)
    assert (response.status_code, response.content) == (204, b"")
    (put,) = parts.broker.puts
    assert put.queue == "mail"
    assert put.message.group == "box"
    assert put.message.attributes == {"content-type": "application/json", "millrace-event": "push"}
    push = msgspec.json.decode(put.message.body, type=Push)
    assert push == Push("projects/p/subscriptions/s", "17", b"hello", {"from": "a@b"}, 1614366835.749123)


async def test_a_push_that_is_delivered_twice_is_one_message() -> None:
    parts = Parts(pushes=PUSHES)
    async with parts.client() as client:
        for _ in range(2):
            assert (await client.post("/push/open", json=BODY)).status_code == 204
        await client.post("/push/open", json={**BODY, "subscription": "another"})
        metrics = (await client.get("/metrics")).text
    assert len(parts.broker.puts) == 2
    assert 'millrace_messages_accepted_total{queue="mail"} 2.0' in metrics


async def test_a_push_brings_its_token_in_the_url_or_as_bearer() -> None:
    parts = Parts(pushes=PUSHES)
    async with parts.client() as client:
        for query, headers in (("?token=s3cret", {}), ("", {"authorization": "Bearer s3cret"})):
            assert (await client.post(f"/push/mailbox{query}", json=BODY, headers=headers)).status_code == 204
        for query in ("", "?token=", "?token=wrong"):
            problem(await client.post(f"/push/mailbox{query}", json=BODY), 401, "unauthorized")
    assert len(parts.broker.puts) == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b'{"x":' * 100_000, "nested too deeply"),
        (b"{}", "message"),
        (b'{"message": {}}', "messageId"),
        (b'{"message": {"messageId": ""}}', "messageId"),
        (b'{"message": {"messageId": "1", "data": "%"}}', "$.message.data"),
        (b'{"message": {"messageId": "1", "attributes": {"a": 1}}}', "$.message.attributes"),
        (b'{"message": {"messageId": "1", "publishTime": "noon"}}', "$.message.publishTime"),
    ],
)
async def test_a_malformed_push_says_where(body: bytes, why: str) -> None:
    parts = Parts(pushes=PUSHES)
    async with parts.client() as client:
        told = problem(await client.post("/push/open", content=body), 400, "bad-request")
    assert why in told["detail"]
    assert "messageId" in told["expected"]
    assert parts.broker.puts == []


async def test_a_push_that_could_not_be_stored_is_delivered_again() -> None:
    parts = Parts(pushes=PUSHES)
    async with parts.client() as client:
        parts.broker.refusal = StorageFull("full")
        problem(await client.post("/push/open", json=BODY), 507, "storage-full")
        parts.is_draining = True
        problem(await client.post("/push/open", json=BODY), 503, "draining")


def test_what_a_push_leaves_out_is_filled_in() -> None:
    message = read_push(b'{"message": {"messageId": "1", "attributes": null}}', "mail", 12.5)
    assert msgspec.json.decode(message.body, type=Push) == Push("", "1", b"", {}, 12.5)
    assert message.sent_at == 12.5


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["message", "messageId", "data", "attributes", "publishTime", "subscription"]), inner
        ),
    )
)
def test_a_push_is_read_or_refused(body: Any) -> None:
    with suppress(ValueError):
        assert read_push(msgspec.json.encode(body), "mail", 0.0).id
