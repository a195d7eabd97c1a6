"""Lambda's API over an invoker that a test steers."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.endpoint.functions import Answer, Function, Functions, Kind

HELLO = Function("hello", "pets-dev-hello", "app.hello", "python3.11", 3.0, 128, "says it")
OTHER = Function("other", "other", "app.other", "python3.11", 0.5, 256)
ARN = "arn:aws:lambda:us-east-1:000000000000:function:pets-dev-hello"


class Invoker:
    """Gives `answer`; keeps what was asked."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.functions = [OTHER, HELLO]
        self.answer = answer or Answer(b'{"ok":true}', log="line\n")
        self.asked: list[tuple[str, bytes, str, str, str]] = []

    async def invoke(
        self, function: Function, payload: bytes, kind: Kind, *, request_id: str, client_context: str = ""
    ) -> Answer:
        self.asked.append((function.key, payload, kind, request_id, client_context))
        return self.answer


async def ask(
    invoker: Invoker,
    name: str = "hello",
    body: bytes = b"{}",
    *,
    method: str = "POST",
    what: str = "/invocations",
    query: str = "",
    version: str = "2015-03-31",
    **headers: str,
) -> Reply:
    sent = {f"x-amz-{key.replace('_', '-')}": value for key, value in headers.items()}
    path = f"/{version}/functions/{name}{what}"
    return await Functions(invoker, account="000000000000", region="us-east-1").handle(
        Call(method, path, query, sent, body)
    )


async def test_the_answer_of_a_call() -> None:
    invoker = Invoker()
    reply = await ask(invoker, body=b'{"a": 1}')
    ((key, payload, kind, request_id, context),) = invoker.asked
    assert (key, payload, kind, context) == ("hello", b'{"a": 1}', "RequestResponse", "")
    assert (reply.status, reply.body) == (200, b'{"ok":true}')
    assert reply.headers["x-amzn-requestid"] == request_id
    assert reply.headers["x-amz-executed-version"] == "$LATEST"
    assert not {"x-amz-function-error", "x-amz-log-result"} & reply.headers.keys()


@pytest.mark.parametrize(
    "name",
    [
        "hello",
        "pets-dev-hello",
        "pets-dev-hello:$LATEST",
        ARN,
        f"{ARN}:$LATEST".replace(":", "%3A").replace("$", "%24"),
        "000000000000:function:pets-dev-hello",
        "function:hello",
    ],
)
async def test_a_function_by_any_of_its_names(name: str) -> None:
    assert (await ask(Invoker(), name)).status == 200


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("nobody", ""),
        ("hello:7", ""),
        ("hello", "Qualifier=live"),
        (ARN.replace("us-east-1", "eu-west-1"), ""),
        (ARN.replace("000000000000", "111111111111"), ""),
    ],
)
async def test_a_function_that_is_not_there(name: str, query: str) -> None:
    reply = await ask(Invoker(), name, query=query)
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    assert json.loads(reply.body)["Message"].startswith("Function not found: arn:aws:lambda:")


async def test_nothing_is_an_empty_event() -> None:
    invoker = Invoker()
    await ask(invoker, body=b"")
    assert invoker.asked[0][1] == b"{}"


async def test_a_handler_that_failed_is_a_call_that_went_well() -> None:
    reply = await ask(Invoker(Answer(b'{"errorType":"ValueError"}', failed=True)))
    assert (reply.status, reply.headers["x-amz-function-error"]) == (200, "Unhandled")


async def test_the_tail_of_the_log_where_it_is_wanted() -> None:
    reply = await ask(Invoker(Answer(b"1", log="ä" * 3000 + "end")), log_type="Tail")
    tail = b64decode(reply.headers["x-amz-log-result"])
    assert (len(tail), tail[-3:]) == (4096, b"end")


async def test_an_event_is_accepted_and_a_dry_run_does_nothing() -> None:
    invoker = Invoker()
    assert (await ask(invoker, invocation_type="Event")).status == 202
    assert [asked[2] for asked in invoker.asked] == ["Event"]
    assert (await ask(invoker, invocation_type="DryRun")).status == 204
    assert len(invoker.asked) == 1
    older = await ask(invoker, what="/invoke-async/", version="2014-11-13")
    assert (older.status, invoker.asked[-1][2]) == (202, "Event")


async def test_what_the_caller_says_of_itself() -> None:
    invoker = Invoker()
    told = '{"custom": {"a": 1}}'
    await ask(invoker, client_context=b64encode(told.encode()).decode())
    assert invoker.asked[0][4] == told
    for wrong in ("no base64!", b64encode(b"[]").decode(), b64encode(b"{").decode(), "e" * 4000):
        reply = await ask(invoker, client_context=wrong)
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")


@pytest.mark.parametrize(
    ("code", "status", "name", "body", "headers"),
    [
        ("InvalidRequestContentException", 400, "hello", b"{", {}),
        ("InvalidRequestContentException", 400, "hello", b"[" * 100_000, {}),
        ("RequestTooLargeException", 413, "hello", b'"' + b"x" * 6_291_456 + b'"', {}),
        ("RequestTooLargeException", 413, "hello", b'"' + b"x" * 1_048_576 + b'"', {"invocation_type": "Event"}),
        ("ValidationException", 400, "hello", b"{}", {"invocation_type": "Sometimes"}),
        ("ValidationException", 400, "hello", b"{}", {"log_type": "Head"}),
        ("ValidationException", 400, "he%20llo", b"{}", {}),
        ("ValidationException", 400, "a" * 300, b"{}", {}),
    ],
)
async def test_what_lambda_refuses(code: str, status: int, name: str, body: bytes, headers: dict[str, str]) -> None:
    invoker = Invoker()
    reply = await ask(invoker, name, body, **headers)
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (status, code)
    assert invoker.asked == []


async def test_an_answer_that_is_too_large() -> None:
    reply = await ask(Invoker(Answer(b'"' + b"x" * 6_291_556 + b'"')))
    assert reply.headers["x-amz-function-error"] == "Unhandled"
    assert json.loads(reply.body)["errorType"] == "Function.ResponseSizeTooLarge"


async def test_functions_are_listed_in_pages() -> None:
    page = json.loads((await ask(Invoker(), "", b"", method="GET", what="", query="MaxItems=1")).body)
    assert ([item["FunctionName"] for item in page["Functions"]], page["NextMarker"]) == (["other"], "1")
    rest = json.loads((await ask(Invoker(), "", b"", method="GET", what="", query="MaxItems=1&Marker=1")).body)
    assert ([item["FunctionName"] for item in rest["Functions"]], "NextMarker" in rest) == (["pets-dev-hello"], False)
    assert (await ask(Invoker(), "", b"", method="GET", what="", query="Marker=x")).status == 400


async def test_a_function_is_described() -> None:
    config = json.loads((await ask(Invoker(), "hello", b"", method="GET", what="/configuration")).body)
    assert (config["FunctionArn"], config["Handler"], config["Timeout"]) == (ARN, "app.hello", 3)
    assert json.loads((await ask(Invoker(), "hello", b"", method="GET", what="")).body) == {"Configuration": config}


async def test_functions_are_not_made_here() -> None:
    reply = await ask(Invoker(), "", method="POST", what="")
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


@given(
    st.sampled_from(["GET", "POST", "PUT"]),
    st.text(max_size=30),
    st.text(max_size=30),
    st.binary(max_size=30),
    st.text(),
)
async def test_nothing_that_is_sent_breaks_it(method: str, name: str, what: str, body: bytes, query: str) -> None:
    reply = await ask(Invoker(), name, body, method=method, what=what, query=query)
    assert reply.status < 500
