"""Paths that ask for an API key, and what pages of other sites may do."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_parts import Parts, done, problem

from millrace.app.api_keys import FILE, api_keys
from millrace.errors import StorageDamaged, StorageReadOnly
from millrace.source import HttpRequest
from millrace.sources.http import Cors, Route

KEYS = {"app": "first-secret", "phone": "second-secret"}
PAGE = {"origin": "https://shop.example.com", "sec-fetch-site": "cross-site"}
ASK = {**PAGE, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def keyed(**settings: Any) -> Parts:
    routes = [
        Route("POST", "/orders", "order", "order", "handler", payload="v1", key=True),
        Route("POST", "/images", "classify", "images", "model", key=True),
        Route("GET", "/open", "order", "order", "handler"),
    ]
    return Parts(routes=routes, answer=lambda put: done(put, {"statusCode": 200}), api_keys=KEYS, **settings)


@pytest.mark.parametrize("key", [None, b"", b"first", b"first-secretx", b"first-secret\xff", "sécret".encode()])
async def test_without_a_key_the_answer_is_api_gateways(key: bytes | None) -> None:
    parts = keyed()
    headers = {} if key is None else {"x-api-key": key}
    async with parts.client() as client:
        for path in ("/orders", "/images"):
            response = await client.post(path, content=b"x", headers=headers)
            assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})
            assert response.headers["x-amzn-errortype"] == "ForbiddenException"
        assert (await client.get("/open")).status_code == 200
    assert parts.broker.puts == []


async def test_any_of_the_keys_opens_and_the_event_names_it() -> None:
    parts = keyed()
    async with parts.client() as client:
        assert (await client.post("/orders", headers={"X-Api-Key": "second-secret"})).status_code == 200
        assert (await client.post("/images", headers={"x-api-key": "first-secret"}, content=b"x")).status_code == 202
        assert (await client.get("/open", headers={"x-api-key": "first-secret"})).status_code == 200
    asked, unasked = (msgspec.json.decode(put.message.body, type=HttpRequest) for put in parts.memory.puts)
    assert (asked.key_name, unasked.key_name) == ("phone", "")


async def test_no_keys_open_nothing() -> None:
    parts = Parts(routes=[Route("GET", "/a", "f", "f", "handler", key=True)], api_keys={"named": ""})
    async with parts.client() as client:
        for headers in ({}, {"x-api-key": ""}):
            assert (await client.get("/a", headers=headers)).status_code == 403


async def test_openapi_says_where_a_key_is_needed() -> None:
    async with keyed().client() as client:
        document = (await client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"] == {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
    assert document["paths"]["/orders"]["post"]["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/open"]["get"]
    async with keyed(token="t").client(headers={"authorization": "Bearer t"}) as client:
        document = (await client.get("/openapi.json")).json()
    assert document["paths"]["/orders"]["post"]["security"] == [{"key": [], "token": []}]


def test_a_key_without_a_value_is_made_once_and_kept_to_oneself(tmp_path: Path) -> None:
    state = tmp_path / ".millrace"
    first = api_keys({"app": None, "given": "mine"}, state)
    assert first["given"] == "mine"
    assert len(first["app"]) == 40
    assert stat.S_IMODE((state / FILE).stat().st_mode) == 0o600
    assert api_keys({"app": None, "given": "mine"}, state) == first
    more = api_keys({"app": None, "phone": ""}, state)
    assert more["app"] == first["app"] != more["phone"]
    assert [path.name for path in state.iterdir()] == [FILE]


def test_keys_with_values_write_nothing(tmp_path: Path) -> None:
    assert api_keys({"given": "mine"}, tmp_path / "state") == {"given": "mine"}
    assert api_keys({}, tmp_path / "state") == {}
    assert not (tmp_path / "state").exists()


def test_a_keys_file_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(StorageDamaged, match="cannot read the API keys"):
        api_keys({"app": None}, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageReadOnly, match="cannot write"):
        api_keys({"app": None}, tmp_path / "file" / "below")


def shared(cors: Cors, payload: Any = "v2", **settings: Any) -> Parts:
    routes = [
        Route("POST", "/orders", "order", "order", "handler", payload=payload, cors=cors),
        Route("GET", "/orders", "order", "order", "handler", payload=payload, cors=cors),
        Route("DELETE", "/orders", "order", "order", "handler"),
    ]
    own = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "null", "x-own": "1"}}
    return Parts(routes=routes, answer=lambda put: done(put, own), **settings)


async def test_a_preflight_is_answered_before_any_token() -> None:
    cors = Cors(headers=("Content-Type", "X-Api-Key"), max_age_s=600.0)
    async with shared(cors, token="secret").client() as client:
        response = await client.options("/orders", headers=ASK)
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["access-control-allow-methods"] == "GET,OPTIONS,POST"
        assert response.headers["access-control-allow-headers"] == "Content-Type,X-Api-Key"
        assert response.headers["access-control-max-age"] == "600"
        refused = await client.post("/orders", headers=PAGE)
        problem(refused, 401, "unauthorized")
        assert refused.headers["access-control-allow-origin"] == "*"  # so that the page may read why


async def test_a_preflight_asks_for_whatever_would_answer() -> None:
    routes = [
        Route("GET", "/orders/{id}", "order", "order", "handler"),
        Route("POST", "/closed", "order", "order", "handler"),
        Route("ANY", "$default", "order", "order", "handler", cors=Cors()),
    ]
    parts = Parts(routes=routes, answer=lambda put: done(put, {"statusCode": 200}))
    async with parts.client() as client:
        for path in ("/orders/7", "/elsewhere"):
            assert (await client.options(path, headers=ASK)).headers["access-control-allow-origin"] == "*"
            answer = await client.post(path, headers=PAGE)
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
        problem(await client.post("/closed", headers=PAGE), 403, "cross-site")  # what answers has no CORS


async def test_a_page_that_is_invited_reaches_the_handler_and_reads_its_answer() -> None:
    parts = shared(Cors(origins=("https://shop.example.com",), expose=("x-own",), credentials=True))
    async with parts.client() as client:
        response = await client.post("/orders", headers=PAGE)
    assert response.status_code == 200
    assert response.headers.get_list("access-control-allow-origin") == ["https://shop.example.com"]
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-expose-headers"] == "x-own"
    assert response.headers["vary"] == "Origin"
    assert response.headers["x-own"] == "1"


async def test_other_pages_stay_outside() -> None:
    parts = shared(Cors(origins=("https://shop.example.com", "https://*.trusted.example")))
    async with parts.client() as client:
        for origin in ("https://evil.example", "https://a.b/.trusted.example", "null"):
            headers = {**ASK, "origin": origin}
            told = await client.options("/orders", headers=headers)
            assert "access-control-allow-origin" not in told.headers
            problem(await client.post("/orders", headers=headers), 403, "cross-site")
        good = {**ASK, "origin": "https://a.trusted.example"}
        assert (await client.post("/orders", headers=good)).status_code == 200
        problem(await client.request("DELETE", "/orders", headers=PAGE), 403, "cross-site")
        rebound = {**good, "host": "evil.example"}
        problem(await client.post("/orders", headers=rebound), 421, "misdirected")
    assert len(parts.memory.puts) == 1


async def test_with_payload_v1_the_handler_writes_the_headers_itself() -> None:
    async with shared(Cors(decorate=False), "v1").client() as client:
        assert (await client.options("/orders", headers=ASK)).headers["access-control-allow-origin"] == "*"
        response = await client.post("/orders", headers=PAGE)
    assert response.headers.get_list("access-control-allow-origin") == ["null"]


async def test_a_request_that_comes_from_no_page_is_left_alone() -> None:
    async with shared(Cors()).client() as client:
        response = await client.post("/orders")
        assert response.headers["access-control-allow-origin"] == "null"
        problem(await client.options("/orders"), 405, "wrong-method")


async def test_any_head_and_options_reach_an_application() -> None:
    routes = [Route("ANY", path, "web", "web", "wsgi", payload="v1") for path in ("/", "/{proxy+}")]
    parts = Parts(routes=routes, answer=lambda put: done(put, {"statusCode": 200}))
    async with parts.client() as client:
        for method in ("HEAD", "OPTIONS", "PATCH"):
            for path in ("/", "/a", "/a/b%20c/"):
                assert (await client.request(method, path)).status_code == 200
        assert (await client.get("/healthz")).json()
    events = [msgspec.json.decode(put.message.body, type=HttpRequest) for put in parts.memory.puts]
    assert [(event.method, event.route) for event in events[:2]] == [("HEAD", "/"), ("HEAD", "/{proxy+}")]
    assert events[2].path_parameters == {"proxy": "a/b c/"}


async def test_a_rest_of_a_path_is_never_empty() -> None:
    parts = Parts(routes=[Route("GET", "/files/{rest+}", "f", "f", "handler")])
    async with parts.client() as client:
        problem(await client.get("/files/"), 404, "no-such-path")
