"""Every input is bounded, what is over a bound is refused whole, and no bytes whatever give a 500."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from gateway_parts import Parts, problem
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.sources.http import Settings
from millrace.sources.http.bodies import Bodies
from millrace.sources.http.presence import while_connected
from millrace.sources.http.problems import Disconnected, Problem
from millrace.sources.http.requests import WHOLE, Request

PNG = {"content-type": "image/png"}
FORM = {"content-type": "multipart/form-data; boundary=b"}


def part(name: str, content: bytes = b"x", filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--b\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


async def chunks(count: int, size: int, sent: list[int]) -> AsyncIterator[bytes]:
    for _ in range(count):
        sent.append(size)
        yield b"x" * size


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    parts = Parts(max_body_bytes=10)
    async with parts.client() as client:
        exact = await client.post("/images", content=b"x" * 10, headers=PNG)
        response = await client.post("/images", content=b"x" * 11, headers=PNG)
    assert exact.status_code == 202
    told = problem(response, 413, "too-large")
    assert (told["expected"], told["got"]) == ("at most 10 bytes", "11 bytes")
    assert response.headers["connection"] == "close"
    assert len(parts.broker.puts) == 1


async def test_a_body_that_does_not_tell_its_length_is_counted_while_it_comes() -> None:
    with Bodies(Settings("pets", max_body_bytes=10)).open(request([b"x" * 4] * 1000)) as body:
        with pytest.raises(Problem) as refused:
            await body.read()
        assert body.size == 12
    assert refused.value.reply().status == 413


async def test_what_comes_after_a_refusal_is_thrown_away_so_that_the_client_hears_of_it() -> None:
    parts = Parts(max_body_bytes=10)
    sent: list[int] = []
    async with parts.client() as client:
        response = await client.post("/images", content=chunks(100, 4, sent), headers=PNG)
    problem(response, 413, "too-large")
    assert response.headers["connection"] == "close"
    assert sum(sent) == 400
    assert parts.broker.puts == []


async def test_bodies_of_all_requests_together_are_bounded() -> None:
    bodies = Bodies(Settings("pets", max_buffered_bytes=15))
    with bodies.open(request([b"x" * 10])) as first:
        assert await first.read() == b"x" * 10
        with pytest.raises(Problem) as refused, bodies.open(request([b"x" * 10])) as second:
            await second.read()
        assert refused.value.reply().status == 429
        assert bodies.buffered_bytes == 10
    assert bodies.buffered_bytes == 0


@pytest.mark.parametrize("announced", [(b"transfer-encoding", b"chunked"), (b"content-length", b"2")])
async def test_a_body_that_does_not_end_in_time_is_given_up(announced: tuple[bytes, bytes]) -> None:
    async def silent() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    bodies = Bodies(Settings("pets", body_timeout_s=0.0))
    request = Request({**scope(), "headers": [announced]}, silent)
    with pytest.raises(Problem) as refused, bodies.open(request) as body:
        await body.read()
    assert refused.value.reply().status == 408


async def test_a_body_that_is_there_has_no_limit_to_meet() -> None:
    async def there() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"ab", "more_body": False}

    bodies = Bodies(Settings("pets", body_timeout_s=0.0))
    request = Request({**scope(), "headers": [(b"content-length", b"2")], WHOLE: True}, there)
    with bodies.open(request) as body:
        assert await body.read() == b"ab"


async def test_who_waits_for_a_client_can_be_cancelled_himself() -> None:
    async def for_ever() -> Any:
        return await asyncio.get_running_loop().create_future()

    request = Request({"headers": []}, for_ever)
    waiting = asyncio.create_task(while_connected(request, for_ever()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_client_that_goes_away_is_told_nothing() -> None:
    parts = Parts()

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        raise AssertionError(event)

    posted = {**scope(), "path": "/images", "headers": [(b"host", b"localhost")]}
    await parts.app(posted, gone, send)
    assert parts.broker.puts == []
    with pytest.raises(Disconnected):
        await Bodies(Settings("pets")).open(Request(scope(), gone)).read()


def scope() -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}


def request(pieces: list[bytes]) -> Request:
    left: Iterator[bytes] = iter(pieces)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": next(left), "more_body": left.__length_hint__() > 0}  # type: ignore[attr-defined]

    return Request(scope(), receive)


async def test_a_body_in_pieces_is_put_together() -> None:
    with Bodies(Settings("pets")).open(request([b"ab", b"", b"c"])) as body:
        assert await body.read() == b"abc"


@pytest.mark.parametrize(
    ("content", "headers", "kind"),
    [
        (b"1\n2\n3\n4", {"content-type": "application/x-ndjson"}, "too-many"),
        (b"".join(part("f", filename="a") for _ in range(4)) + b"--b--\r\n", FORM, "too-many"),
    ],
)
async def test_messages_of_a_request_are_bounded(content: bytes, headers: dict[str, str], kind: str) -> None:
    parts = Parts(max_messages=3)
    async with parts.client() as client:
        told = problem(await client.post("/images", content=content, headers=headers), 413, kind)
    assert "3" in told["expected"]
    assert parts.broker.puts == []


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ("&".join(f"a{n}=1" for n in range(6)), 431, "attributes-too-large"),
        ("a=" + "x" * 100, 431, "attributes-too-large"),
        ("&".join(f"a{n}=1" for n in range(201)), 400, "bad-request"),
        ("content-type=text/html", 400, "bad-request"),
        ("Millrace-Event=schedule", 400, "bad-request"),
        ("=nameless", 400, "bad-request"),
    ],
)
async def test_attributes_are_bounded_and_some_names_are_not_for_clients(query: str, status: int, kind: str) -> None:
    parts = Parts(max_attributes=5, max_attribute_bytes=100)
    async with parts.client() as client:
        problem(await client.post(f"/images?{query}", content=b"x", headers=PNG), status, kind)
    assert parts.broker.puts == []


@pytest.mark.parametrize(
    ("content", "status", "why"),
    [
        (part("a") + b"--b--\r\n", 400, "no file"),
        (b"", 400, "closing boundary"),
        (part("f", filename="a"), 400, "closing boundary"),
        (part("f", filename="a") + b"--b", 400, "closing boundary"),
        (b"nonsense", 400, "malformed"),
        (b"--b\r\nx-other: 1\r\n\r\nx\r\n--b--\r\n", 400, "what it is"),
        (b"--b\r\ncontent-disposition: attachment; name=a\r\n\r\nx\r\n--b--\r\n", 400, "what it is"),
        (part("millrace-event") + part("f", filename="a") + b"--b--\r\n", 400, "millrace-event"),
        (b"".join(part(f"a{n}") for n in range(6)) + b"--b--\r\n", 431, "too many fields"),
        (part("a", b"x" * 200) + b"--b--\r\n", 431, "too large"),
        (b"--b\r\n" + b"a: b\r\n" * 100 + b"\r\nx\r\n--b--\r\n", 400, "malformed"),
    ],
)
async def test_a_form_is_refused_whole(content: bytes, status: int, why: str) -> None:
    parts = Parts(max_attributes=5, max_attribute_bytes=100)
    async with parts.client() as client:
        response = await client.post("/images", content=content, headers=FORM)
    assert response.status_code == status
    assert why in response.json()["detail"]
    assert parts.broker.puts == []


async def test_a_broken_json_file_refuses_the_form() -> None:
    parts = Parts()
    files = [("f", ("a.png", b"A", "image/png")), ("f", ("b.json", b"{", "application/json"))]
    async with parts.client() as client:
        problem(await client.post("/images", files=files), 400, "not-json")
    assert parts.broker.puts == []


@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({"content-type": "multipart/mixed; boundary=b"}, 415, "multipart/form-data"),
        ({"content-type": "multipart/form-data"}, 400, "boundary"),
        ({"content-type": f"multipart/form-data; boundary={'b' * 300}"}, 400, "RFC 7578"),
        ({**PNG, "content-encoding": "gzip"}, 415, "identity"),
        ({"content-type": "application/x-ndjson"}, 400, "one JSON value a line"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_what_can(
    headers: dict[str, str], status: int, expected: str
) -> None:
    parts = Parts()
    async with parts.client() as client:
        response = await client.post("/images", content=b"", headers=headers)
    assert response.status_code == status
    assert expected in response.json()["expected"]
    assert parts.broker.puts == []


async def test_requests_that_wait_are_bounded() -> None:
    parts = Parts(max_waiting=1)
    parts.results.patient = True
    async with parts.client() as client:
        first = asyncio.create_task(client.get("/results/a?wait=60"))
        await parts.results.waiting.wait()
        response = await client.get("/results/a?wait=60")
        first.cancel()
    problem(response, 429, "gateway-busy")
    assert response.headers["retry-after"] == "1"


TYPES = st.sampled_from(
    [
        "",
        "application/json",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/vnd.millrace.messages+json",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=",
        "text/plain",
    ]
)
SNIPPETS = (
    *(b"--b", b"--b--", b"\r\n", b"\n", b"{", b"}", b"[1]", b'"', b"\xff", b"\0"),
    *(part("f", filename="a"), part("g"), b'[{"body":"AA=="}]', b'content-disposition: form-data; name="f"'),
)
PIECES = st.one_of(st.binary(max_size=60), st.sampled_from(SNIPPETS))


@settings(max_examples=150, deadline=None)
@given(kind=TYPES, pieces=st.lists(PIECES, max_size=8), query=st.binary(max_size=30), path=st.text(max_size=12))
async def test_no_bytes_whatever_give_a_500(kind: str, pieces: list[bytes], query: bytes, path: str) -> None:
    parts = Parts()
    for target in ("/images", "/queues/labels", f"/{path}", f"/pets/{path}/images"):
        status = await posted(parts, target, kind, pieces, query)
        assert status < 500
        assert (status in (202, 200)) or not parts.broker.puts or target != "/images"


async def posted(parts: Parts, path: str, kind: str, pieces: list[bytes], query: bytes) -> int:
    """Post past httpx, which would tidy the request up; the status."""
    statuses: list[int] = []
    left = [*pieces, b""]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(event: Any) -> None:
        statuses.extend([event["status"]] if "status" in event else [])

    headers = [(b"host", b"localhost"), (b"content-type", kind.encode())]
    await parts.app({**scope(), "path": path, "query_string": query, "headers": headers}, receive, send)
    return statuses[0]
