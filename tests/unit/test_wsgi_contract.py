"""A WSGI application behind the gateway's events, and the calls of a Zappa project that come beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from needs import needs_module

from millrace.aws import responses
from millrace.errors import LoadError
from millrace.replica import wsgi
from millrace.replica.handler import Handler
from millrace.replica.handler import load as load_handler
from millrace.replica.probe import probe
from millrace.source import EVENT_ATTRIBUTE, PAYLOAD_ATTRIBUTE, HttpRequest
from millrace.types import JSON, Failure, Message
from millrace.wire import Run, Spec

APP = """
from urllib.parse import unquote

def app(environ, start_response):
    path = environ["PATH_INFO"].encode("latin-1").decode()
    if path == "/broken":
        raise ValueError("no such pet")
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
    headers = [("Content-Type", "text/plain; charset=latin-1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
               ("Link", "<1>"), ("Link", "<2>")]
    start_response("201 CREATED", headers)
    return [f"{environ['REQUEST_METHOD']} {path}?{environ['QUERY_STRING']} é ".encode("latin-1"), body]

number = 7

def task(event, context):
    return {"args": event["args"]}

def alone(): return "alone"
def one(event): return event
def three(a, b, c): ...
def some(*all): return len(all)
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    needs_module("apig_wsgi")
    path, modules = list(sys.path), set(sys.modules)
    (tmp_path / "pets_web.py").write_text(APP)
    yield str(tmp_path)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def spec(root: str, target: str = "pets_web.app", kind: str = "wsgi") -> Spec:
    return Spec("web", kind, target, root, 30.0, 0, 1)


def ran(loaded: Handler, body: bytes, event: str = "http") -> Any:
    attributes = {EVENT_ATTRIBUTE: event, PAYLOAD_ATTRIBUTE: "v1", "content-type": JSON}
    run = Run(1, "r-1", "web", [Message("m", body, attributes, 1.0)], [1], ["h"])
    result = loaded.run(run, lambda: None)
    return result.failure or result.failures.get(0) or result.values[0]


def asked(root: str, path: str, body: bytes = b"") -> responses.HttpResponse:
    request = HttpRequest(
        method="POST",
        path=path,
        route="/{proxy+}",
        path_parameters={"proxy": path[1:]},
        query=[("q", "a b"), ("q", "ü")],
        headers=[("host", "localhost:8400"), ("content-type", "application/octet-stream")],
        body=body,
        source_ip="127.0.0.1",
        at=1.0,
    )
    value = ran(wsgi.load(spec(root)), msgspec.json.encode(request))
    assert isinstance(value, bytes), value
    return responses.response("v1", value)


def test_an_application_gets_the_request_whole_and_answers_it_whole(root: str) -> None:
    response = asked(root, "/pets/é b", b"\xff\x00")
    assert response.status == 201
    assert response.body == "POST /pets/é b?q=a+b&q=%C3%BC é ".encode("latin-1") + b"\xff\x00"
    named: dict[str, list[str]] = {}
    for name, value in response.headers:
        named.setdefault(name, []).append(value)
    assert named == {
        "content-type": ["text/plain; charset=latin-1"],
        "set-cookie": ["a=1", "b=2"],
        "link": ["<1>", "<2>"],
    }


def test_what_an_application_raises_is_the_calls_failure(root: str) -> None:
    request = HttpRequest("GET", "/broken", "/{proxy+}", {}, [], [], b"", "127.0.0.1", 1.0)
    failure = ran(wsgi.load(spec(root)), msgspec.json.encode(request))
    assert isinstance(failure, Failure)
    assert (failure.type, failure.message) == ("ValueError", "no such pet")


def test_a_command_runs_the_function_that_it_names(root: str) -> None:
    loaded = wsgi.load(spec(root))
    assert ran(loaded, b'{"command": "pets_web.task", "args": [1, 2]}', "raw") == b'{"args":[1,2]}'
    failure = ran(loaded, b'{"command": "pets_web.tasks"}', "raw")
    assert "cannot find pets_web.tasks" in failure.message


@pytest.mark.parametrize("event", [b"[1]", b'{"detail-type": "Scheduled Event"}', b"null"])
def test_other_events_are_told_what_is_expected(root: str, event: bytes) -> None:
    failure = ran(wsgi.load(spec(root)), event, "raw")
    assert "a WSGI application is called by requests" in failure.message


def test_what_is_no_application(root: str) -> None:
    with pytest.raises(LoadError, match="is a int"):
        wsgi.load(spec(root, "pets_web.number"))
    assert probe("wsgi", "pets_web.app", root) is None
    failure = probe("wsgi", "pets_web.number", root)
    assert failure is not None
    assert "expected a WSGI application" in failure.message


def test_a_missing_adapter_says_what_to_install(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apig_wsgi", None)
    for load in (lambda: wsgi.load(spec(root)), lambda: wsgi.adapter()):
        with pytest.raises(LoadError) as caught:
            load()
        assert "pip install 'millrace[zappa]'" in caught.value.hint
    failure = probe("wsgi", "pets_web.app", root)
    assert failure is not None
    assert "millrace[zappa]" in failure.message


@pytest.mark.parametrize(("name", "value"), [("alone", b'"alone"'), ("one", b'{"a":1}'), ("some", b"2")])
def test_zappa_gives_a_function_as_much_as_it_takes(
    root: str, monkeypatch: pytest.MonkeyPatch, name: str, value: bytes
) -> None:
    monkeypatch.setenv("FRAMEWORK", "Zappa")
    assert ran(load_handler(spec(root, f"pets_web.{name}", "handler")), b'{"a": 1}', "raw") == value


def test_zappa_has_no_third_argument(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEWORK", "Zappa")
    with pytest.raises(LoadError, match=r"wants 3 arguments \(a, b, c\)"):
        load_handler(spec(root, "pets_web.three", "handler"))


def test_without_zappa_a_handler_is_called_as_lambda_calls_it(root: str) -> None:
    failure = ran(load_handler(spec(root, "pets_web.one", "handler")), b"{}", "raw")
    assert failure.type == "TypeError"
