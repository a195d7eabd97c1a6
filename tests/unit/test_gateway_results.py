"""GET /results/{id}: what became of a message, without what only its owner should read."""

from __future__ import annotations

import asyncio

import pytest
from gateway_parts import Parts, dead, done, problem

from millrace.types import Message, Put, Record

PUT = Put("images", Message("a/b c"))


async def test_a_result_has_everything_about_the_message() -> None:
    parts = Parts()
    await parts.results.put([done(PUT, {"label": "cat"})])
    async with parts.client() as client:
        response = await client.get("/results/a%2Fb%20c")
    assert response.status_code == 200
    assert "retry-after" not in response.headers
    assert response.json() == {
        "id": "a/b c",
        "queue": "images",
        "state": "done",
        "value": {"label": "cat"},
        "attempts": 1,
        "function": "classify",
        "version": "v1",
        "accepted_at": 10.0,
        "started_at": 11.0,
        "finished_at": 12.0,
    }


async def test_a_result_of_null_is_a_value() -> None:
    parts = Parts()
    await parts.results.put([done(PUT, None)])
    async with parts.client() as client:
        assert (await client.get("/results/a/b c")).json()["value"] is None


async def test_a_failure_is_told_without_its_traceback() -> None:
    parts = Parts()
    await parts.results.put([dead(PUT)])
    async with parts.client() as client:
        response = await client.get("/results/a/b c")
    assert response.status_code == 200
    assert response.json()["failure"] == {"type": "builtins.ValueError", "message": "too dark"}
    assert "Traceback" not in response.text


async def test_a_message_on_its_way_says_when_to_ask_again() -> None:
    parts = Parts()
    await parts.results.put([Record("a", "images", "retrying")])
    async with parts.client() as client:
        response = await client.get("/results/a")
    assert response.json() == {"id": "a", "queue": "images", "state": "retrying"}
    assert response.headers["retry-after"] == "1"


async def test_an_unknown_id_is_a_404() -> None:
    async with Parts().client() as client:
        told = problem(await client.get("/results/nobody"), 404, "no-such-result")
    assert "nobody" in told["detail"]


async def test_a_get_can_wait_for_the_result() -> None:
    parts = Parts()
    parts.results.patient = True
    async with parts.client() as client:
        asked = asyncio.create_task(client.get("/results/a/b c?wait=30"))
        await parts.results.waiting.wait()
        assert not asked.done()
        await parts.results.finish(done(PUT))
        assert (await asked).json()["state"] == "done"


async def test_a_wait_is_bounded_and_ends_with_what_is_known() -> None:
    parts = Parts(max_wait_s=0.125)
    await parts.results.put([Record("a", "images", "running")])
    async with parts.client() as client:
        response = await client.get("/results/a?wait=1e9")
    assert response.json()["state"] == "running"
    assert 0 < parts.results.waits[0][1] <= 0.125


async def test_a_drain_ends_waits_early() -> None:
    parts = Parts()
    parts.is_draining = True
    await parts.results.put([Record("a", "images", "running")])
    async with parts.client() as client:
        response = await client.get("/results/a?wait=60")
    assert response.json()["state"] == "running"
    assert len(parts.results.waits) == 1


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", ""])
async def test_a_wait_is_a_number_of_seconds(wait: str) -> None:
    async with Parts().client() as client:
        told = problem(await client.get(f"/results/a?wait={wait}"), 400, "bad-request")
    assert told["got"] == wait
