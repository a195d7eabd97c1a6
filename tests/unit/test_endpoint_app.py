"""The AWS endpoint's front without sockets: which service is asked, what is refused and in whose words."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.aws.endpoint import bodies
from millrace.aws.endpoint.app import Endpoint, Service
from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.endpoint.guard import Guard
from millrace.aws.endpoint.routing import FORM, service_of, service_of_form
from millrace.errors import StorageFull
from millrace.testing import ManualClock

SIGNED = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/{}/aws4_request, SignedHeaders=host, Signature=0"
FORM_TYPE = "application/x-www-form-urlencoded; charset=utf-8"


class Told(Service):
    """Keeps the calls that it gets; answers with `reply`, or what it raises."""

    def __init__(self, reply: Reply | Exception | None = None) -> None:
        self.calls: list[Call] = []
        self.reply = reply or Reply(200, {"content-type": "text/plain"}, b"done")

    async def handle(self, call: Call) -> Reply:
        self.calls.append(call)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


class Parts:
    """An endpoint with services that a test looks into."""

    def __init__(self, keys: dict[str, str] | None = None, *, others: bool = True) -> None:
        self.sqs, self.others = Told(), Told()
        self.app = Endpoint(
            {"sqs": self.sqs},
            self.others if others else None,
            guard=Guard(keys, ManualClock()),
            account="123456789012",
            region="us-east-1",
            health={"word": "rhubarb"},
        )

    async def ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8401") as http:
            return await http.request(method, url, **request)


def header(scope: str = "", target: str = "", **more: str) -> dict[str, str]:
    signed = {"authorization": SIGNED.format(scope)} if scope else {}
    return {**signed, **({"x-amz-target": target} if target else {}), **more}


class TestRouting:
    @pytest.mark.parametrize(
        ("service", "method", "path", "query", "headers"),
        [
            ("sqs", "POST", "/", "", header("sqs", "AmazonSQS.SendMessage")),
            ("sqs", "POST", "/", "", header(target="AmazonSQS.SendMessage")),
            ("dynamodb", "POST", "/", "", header("dynamodb", "DynamoDB_20120810.GetItem")),
            ("dynamodb", "POST", "/", "", header(target="DynamoDBStreams_20120810.GetRecords")),
            ("events", "POST", "/", "", header(target="AWSEvents.PutEvents")),
            ("acm", "POST", "/", "", header("acm", "CertificateManager.List")),
            ("s3", "PUT", "/123456789012/name", "", header("s3")),
            ("lambda", "POST", "/2015-03-31/functions/f/invocations", "", {}),
            ("lambda", "GET", "/2015-03-31/functions/", "", header("lambda")),
            ("sqs", "POST", "/123456789012/images", "", {}),
            ("sqs", "GET", "/123456789012/images", "Action=ReceiveMessage", {}),
            ("sts", "GET", "/", "Action=GetCallerIdentity&Version=2011-06-15", {}),
            ("sqs", "GET", "/", "Action=ListQueues", {}),
            ("", "GET", "/", "Action=X&Version=1999-01-01", {}),
            (FORM, "POST", "/", "", {"content-type": FORM_TYPE}),
            ("sns", "POST", "/", "", header("sns", **{"content-type": FORM_TYPE})),
            ("s3", "GET", "/bucket/key", "", {}),
            ("s3", "GET", "/", "", {}),
            ("s3", "GET", "/b/k", "X-Amz-Credential=AKID%2F20260101%2Feu-west-1%2Fs3%2Faws4_request", {}),
            ("s3", "GET", "/123456789012/images", "", {}),
        ],
    )
    def test_each_request_finds_its_service(
        self, service: str, method: str, path: str, query: str, headers: dict[str, str]
    ) -> None:
        assert service_of(method, path, query, headers) == service

    def test_a_form_says_its_version(self) -> None:
        assert service_of_form(b"Action=Publish&Version=2010-03-31") == "sns"
        assert service_of_form(b"Action=ListQueues") == "sqs"

    @given(st.text(), st.text(), st.dictionaries(st.sampled_from(["authorization", "x-amz-target"]), st.text()))
    def test_nothing_that_is_sent_breaks_it(self, path: str, query: str, headers: dict[str, str]) -> None:
        service_of("POST", path, query, headers)


class TestAnswers:
    async def test_a_call_says_where_it_was_signed_for(self) -> None:
        parts = Parts()
        answer = await parts.ask("POST", "/?a=b%20c", headers=header("sqs"), content=b"{}")
        assert (answer.status_code, answer.text) == (200, "done")
        (call,) = parts.sqs.calls
        assert (call.method, call.path, call.query, call.body) == ("POST", "/", "a=b%20c", b"{}")
        assert (call.region, call.account, call.origin) == ("eu-west-1", "123456789012", "http://127.0.0.1:8401")

    async def test_what_nobody_signed_is_of_our_region(self) -> None:
        parts = Parts()
        await parts.ask("GET", "/bucket/a%2Fb%20c")
        (call,) = parts.others.calls
        assert (call.region, call.path) == ("us-east-1", "/bucket/a%2Fb%20c")

    async def test_a_form_is_looked_into(self) -> None:
        parts = Parts()
        await parts.ask("POST", "/", data={"Action": "ListQueues", "Version": "2012-11-05"})
        assert len(parts.sqs.calls) == 1

    async def test_health(self) -> None:
        parts = Parts()
        answer = await parts.ask("GET", "/_millrace/health")
        assert answer.json() == {"word": "rhubarb"}
        assert parts.others.calls == []

    async def test_a_head_says_how_long_a_get_would_be(self) -> None:
        parts = Parts()
        parts.others.reply = Reply(200, {"content-length": "12345"})
        assert (await parts.ask("HEAD", "/bucket/key")).headers["content-length"] == "12345"

    async def test_no_line_end_gets_into_a_header(self) -> None:
        parts = Parts()
        parts.others.reply = Reply(200, {"content-disposition": "a\r\nset-cookie: b", "x-amz-meta-a": "日"})
        answer = await parts.ask("GET", "/bucket/key")
        assert answer.headers["content-disposition"] == "a set-cookie: b"
        assert "set-cookie" not in answer.headers

    async def test_a_client_that_went_away_is_not_waited_for(self) -> None:
        began, ended = asyncio.Event(), asyncio.Event()

        class Waiting(Told):
            async def handle(self, call: Call) -> Reply:
                began.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()
                raise AssertionError("nothing came")

        app = Endpoint({"sqs": Waiting()}, None, guard=Guard(None, ManualClock()), account="", region="", health={})
        events = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if events:
                return events.pop()
            await began.wait()
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            raise AssertionError("nobody is there")

        target = [(b"x-amz-target", b"AmazonSQS.ReceiveMessage")]
        scope = {"type": "http", "method": "POST", "raw_path": b"/", "query_string": b"", "headers": target}
        await app(scope, receive, send)
        assert ended.is_set()


class TestFaults:
    async def test_a_service_that_is_not_there(self) -> None:
        parts = Parts(others=False)
        answer = await parts.ask("POST", "/", headers=header(target="DynamoDB_20120810.GetItem"))
        assert (answer.status_code, answer.json()["__type"]) == (404, "UnknownOperationException")
        assert "millrace[aws]" in answer.json()["message"]
        answer = await parts.ask("GET", "/?Action=X&Version=1999-01-01")
        assert "<Code>InvalidAction</Code>" in answer.text
        answer = await parts.ask("GET", "/bucket/key")
        assert "<Code>MethodNotAllowed</Code>" in answer.text

    async def test_a_disk_that_refuses(self) -> None:
        parts = Parts()
        parts.sqs.reply = StorageFull("no space left", "make room")
        answer = await parts.ask("POST", "/", headers=header(target="AmazonSQS.SendMessage"))
        assert (answer.status_code, answer.json()) == (
            503,
            {"__type": "ServiceUnavailable", "message": "no space left"},
        )
        assert answer.headers["x-amzn-query-error"] == "ServiceUnavailable;Receiver"

    async def test_an_error_of_ours_tells_the_log_and_not_the_client(self, caplog: pytest.LogCaptureFixture) -> None:
        parts = Parts()
        parts.sqs.reply = RuntimeError("a secret bug")
        answer = await parts.ask("POST", "/", headers=header(target="AmazonSQS.SendMessage"))
        assert (answer.status_code, answer.json()["__type"]) == (500, "InternalFailure")
        assert "secret" not in answer.text
        assert "a secret bug" in caplog.text

    async def test_a_body_that_is_too_large_is_refused_unread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parts = Parts()
        large = b"x" * (bodies.MAX_BODY_BYTES + 1)
        answer = await parts.ask("POST", "/", headers=header("sqs"), content=large)
        assert answer.status_code == 413
        assert "<Code>RequestEntityTooLarge</Code>" in answer.text
        assert answer.headers["connection"] == "close"
        assert (await parts.ask("PUT", "/bucket/key", content=large)).status_code == 200
        assert len(parts.others.calls[0].body) == len(large)
        assert parts.sqs.calls == []

    async def test_a_body_that_says_less_than_it_is(self) -> None:
        async def pieces() -> Any:
            for _ in range(17):
                yield b"x" * 1_000_000

        answer = await Parts().ask("POST", "/", headers=header("lambda"), content=pieces())
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLarge")

    async def test_all_bodies_together_have_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "_MAX_BUFFERED_BYTES", 10)
        answer = await Parts().ask("PUT", "/bucket/key", content=b"x" * 11)
        assert (answer.status_code, "<Code>SlowDown</Code>" in answer.text) == (503, True)


class TestLoopback:
    @pytest.mark.parametrize(
        "headers",
        [
            {"host": "evil.example"},
            {"host": "127.0.0.1.evil.example:8401"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
        ],
    )
    async def test_a_web_page_from_elsewhere_is_refused(self, headers: dict[str, str]) -> None:
        parts = Parts()
        answer = await parts.ask("POST", "/123456789012/images", headers=headers, data={"Action": "PurgeQueue"})
        assert (answer.status_code, parts.sqs.calls) == (403, [])
        assert "<Code>AccessDenied</Code>" in answer.text
        assert (await parts.ask("GET", "/_millrace/health", headers=headers)).status_code == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {"host": "localhost:8401"},
            {"host": "bucket.s3.localhost"},
            {"host": "[::1]:1"},
            {"origin": "http://localhost:3000"},
        ],
    )
    async def test_pages_of_this_machine_are_not(self, headers: dict[str, str]) -> None:
        assert (await Parts().ask("GET", "/bucket/key", headers=headers)).status_code == 200


class TestElsewhere:
    async def test_nobody_without_a_key_is_heard(self) -> None:
        parts = Parts({"AKID": "secret"})
        cases = [
            (header(target="AmazonSQS.SendMessage"), 403, "MissingAuthenticationToken"),
            (header(target="DynamoDB_20120810.GetItem"), 403, "MissingAuthenticationTokenException"),
            (header("sqs", "AmazonSQS.SendMessage"), 400, "IncompleteSignature"),
        ]
        for headers, status, code in cases:
            answer = await parts.ask("POST", "/", headers=headers, content=b"{}")
            assert (answer.status_code, answer.json()["__type"]) == (status, code)
        assert "<Code>AccessDenied</Code>" in (await parts.ask("GET", "/bucket/key")).text
        assert "<Code>MissingAuthenticationToken</Code>" in (await parts.ask("GET", "/?Action=ListQueues")).text
        assert parts.sqs.calls == parts.others.calls == []

    async def test_a_key_that_is_not_ours(self) -> None:
        headers = header("s3", **{"x-amz-date": "20260101T000000Z"})
        answer = await Parts({"OTHER": "secret"}).ask("GET", "/b/k", headers=headers)
        assert (answer.status_code, "<Code>InvalidAccessKeyId</Code>" in answer.text) == (403, True)

    async def test_health_needs_no_key(self) -> None:
        assert (await Parts({"AKID": "secret"}).ask("GET", "/_millrace/health")).status_code == 200


def test_faults_are_json_for_json_clients() -> None:
    from millrace.aws.endpoint.faults import fault

    body = fault("sqs", {"content-type": "application/x-amz-json-1.0"}, "UnknownService", "<&>").body
    assert json.loads(body) == {"__type": "InvalidAction", "message": "<&>"}
    assert b"&lt;&amp;&gt;" in fault("s3", {}, "UnknownService", "<&>").body
