"""A handler's result as an HTTP response, by API Gateway's rules; and no result that breaks the gateway."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.aws.responses import HttpResponse, failed, response, timed_out


def answer(payload: str, result: Any) -> HttpResponse:
    return response(payload, json.dumps(result).encode())


@pytest.mark.parametrize("payload", ["v1", "v2"])
def test_a_full_response_is_passed_on(payload: str) -> None:
    got = answer(payload, {"statusCode": 201, "headers": {"X-Id": "7", "Content-Type": "text/csv"}, "body": "a,ü"})
    assert got == HttpResponse(201, [("x-id", "7"), ("content-type", "text/csv")], "a,ü".encode())


@pytest.mark.parametrize("payload", ["v1", "v2"])
def test_a_base64_body_is_decoded(payload: str) -> None:
    result = {"statusCode": 200, "body": b64encode(b"\x89PNG").decode(), "isBase64Encoded": True}
    assert answer(payload, result).body == b"\x89PNG"


@pytest.mark.parametrize(("payload", "kind"), [("v1", "application/json"), ("v2", "text/plain;charset=UTF-8")])
def test_without_a_content_type_api_gateway_sets_one(payload: str, kind: str) -> None:
    assert answer(payload, {"statusCode": "204"}) == HttpResponse(204, [("content-type", kind)], b"")


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ({"pets": ["rex"]}, b'{"pets": ["rex"]}'),
        ([1, 2], b"[1, 2]"),
        ("Hello from Lambda!", b"Hello from Lambda!"),
        (None, b"null"),
        (True, b"true"),
    ],
)
def test_v2_infers_a_response_from_anything_without_a_status(result: Any, body: bytes) -> None:
    assert answer("v2", result) == HttpResponse(200, [("content-type", "application/json")], body)


def test_v2_cookies_are_headers_of_their_own() -> None:
    got = answer("v2", {"statusCode": 200, "cookies": ["a=1; Secure", "b=2"], "multiValueHeaders": {"x": ["ignored"]}})
    assert got.headers[:2] == [("set-cookie", "a=1; Secure"), ("set-cookie", "b=2")]
    assert "x" not in dict(got.headers)


def test_v1_merges_single_and_repeated_headers_and_drops_the_double() -> None:
    result = {
        "statusCode": 200,
        "headers": {"X-A": "1", "x-b": 2, "x-ok": True},
        "multiValueHeaders": {"x-a": ["1", "3"]},
        "cookies": ["ignored=1"],
    }
    assert answer("v1", result).headers == [
        ("x-a", "1"),
        ("x-a", "3"),
        ("x-b", "2"),
        ("x-ok", "true"),
        ("content-type", "application/json"),
    ]


def test_the_framing_of_the_response_is_not_the_handlers() -> None:
    got = answer(
        "v2", {"statusCode": 200, "headers": {"Content-Length": "0", "Transfer-Encoding": "chunked"}, "body": "x"}
    )
    assert [name for name, _ in got.headers] == ["content-type"]


MALFORMED = [
    {"statusCode": None},
    {"statusCode": True},
    {"statusCode": "two hundred"},
    {"statusCode": 99},
    {"statusCode": 101},
    {"statusCode": 600},
    {"statusCode": 200.5},
    {"statusCode": 200, "headers": []},
    {"statusCode": 200, "headers": {"x": ["a"]}},
    {"statusCode": 200, "headers": {"x": "a\r\nset-cookie: evil=1"}},
    {"statusCode": 200, "headers": {"x y": "a"}},
    {"statusCode": 200, "headers": {"": "a"}},
    {"statusCode": 200, "headers": {"x": None}},
    {"statusCode": 200, "body": {"not": "a string"}},
    {"statusCode": 200, "body": 7},
    {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
]


@pytest.mark.parametrize("payload", ["v1", "v2"])
@pytest.mark.parametrize("result", MALFORMED, ids=repr)
def test_a_malformed_response_is_a_502_that_tells_the_log_why(payload: str, result: Any) -> None:
    got = answer(payload, result)
    assert got.status == 502
    assert got.problem.startswith("the handler's result is no HTTP response: expected ")
    assert json.loads(got.body).keys() == {"message"}


@pytest.mark.parametrize("result", [None, "text", [1], {}, {"pets": 1}])
def test_v1_infers_nothing(result: Any) -> None:
    got = answer("v1", result)
    assert (got.status, json.loads(got.body)) == (502, {"message": "Internal server error"})
    assert "expected an object with statusCode" in got.problem


@pytest.mark.parametrize("name", ["multiValueHeaders", "cookies"])
def test_the_fields_of_one_payload_only_are_checked_there(name: str) -> None:
    payload = {"multiValueHeaders": "v1", "cookies": "v2"}[name]
    assert answer(payload, {"statusCode": 200, name: "no list"}).status == 502
    assert answer(payload, {"statusCode": 200, name: None}).status == 200
    if payload == "v1":
        assert answer(payload, {"statusCode": 200, name: {"x": "no list"}}).status == 502


def test_failures_say_to_clients_what_api_gateway_says_and_no_more() -> None:
    assert failed("v1", "ValueError: secret").body == b'{"message":"Internal server error"}'
    assert failed("v2", "ValueError: secret").body == b'{"message":"Internal Server Error"}'
    assert failed("v2", "ValueError: secret").problem == "ValueError: secret"
    assert (failed("v1", "").status, failed("v2", "").status) == (502, 502)


def test_timeouts_are_504() -> None:
    assert timed_out("v1", "").body == b'{"message":"Endpoint request timed out"}'
    assert timed_out("v2", "").body == b'{"message":"Service Unavailable"}'
    assert (timed_out("v1", "").status, timed_out("v2", "").status) == (504, 504)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
RESULTS = JSON_VALUES | st.fixed_dictionaries(
    {"statusCode": JSON_VALUES | st.just(200)},
    optional={
        name: JSON_VALUES | st.dictionaries(st.text(), JSON_VALUES)
        for name in ("headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded")
    },
)


@given(payload=st.sampled_from(["v1", "v2"]), result=RESULTS)
def test_whatever_a_handler_returns_is_a_response_that_can_be_sent(payload: str, result: Any) -> None:
    got = answer(payload, result)
    assert 200 <= got.status <= 599
    assert isinstance(got.body, bytes)
    for name, value in got.headers:
        assert name == name.lower()
        assert name.isascii()
        assert not any(ord(character) < 32 and character != "\t" for character in name + value)
