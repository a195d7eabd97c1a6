"""Signatures as botocore makes them, against the verification that is written by the specification."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from millrace.aws.endpoint import chunks, sigv4
from millrace.aws.endpoint.call import Call
from millrace.aws.endpoint.signature import Credential, Signature, credential_of
from millrace.aws.endpoint.sigv4 import Refused, verify

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = {KEY: SECRET}
HOST = "http://mill.example:8401"


def signed(
    signer: type[Any] = auth.SigV4Auth,
    service: str = "sqs",
    *,
    method: str = "POST",
    path: str = "/",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    secret: str = SECRET,
    **options: Any,
) -> Call:
    """A request as botocore signs and sends it."""
    request = AWSRequest(method, HOST + path, headers or {}, body, params)
    if issubclass(signer, auth.S3SigV4Auth):
        request.context["client_config"] = None
    signer(Credentials(KEY, secret), service, "eu-west-1", **options).add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    sent = {name.lower(): str(value) for name, value in prepared.headers.items()}
    return Call(method, parts.path or "/", parts.query, {"host": parts.netloc, **sent}, body)


def now() -> float:
    return datetime.now(UTC).timestamp()


def reason(call: Call, keys: dict[str, str] | None = None, at: float | None = None) -> str:
    with pytest.raises(Refused) as refused:
        verify(call, KEYS if keys is None else keys, now() if at is None else at)
    return refused.value.reason


class TestHeaders:
    def test_who_signed_for_what(self) -> None:
        found = verify(signed(), KEYS, now())
        assert (found.key, found.region, found.service) == (KEY, "eu-west-1", "sqs")
        assert found == credential_of(signed().headers, "")

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/000000000000/images",
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Aresize/invocations",
            "/a/./b/../c//d/",
            "/a%20b/%C3%BC",
            "/a~b_c-d.e",
        ],
    )
    def test_paths_are_normalised_and_encoded_twice(self, path: str) -> None:
        verify(signed(service="lambda", path=path), KEYS, now())

    @pytest.mark.parametrize(
        "path", ["/b/a b", "/b//x/../y", "/b/%", "/b/a+b=c&d", "/b/ü/日本.jpg", "/b/(1)!*'.txt", "/b/./"]
    )
    def test_s3_paths_are_encoded_once_and_left_alone(self, path: str) -> None:
        verify(signed(auth.S3SigV4Auth, "s3", method="PUT", path=quote(path, safe="/~"), body=b"x"), KEYS, now())

    @pytest.mark.parametrize(
        "params",
        [
            {"b": "2", "a": "1", "aa": "0", "A": "3"},
            {"list-type": "2", "prefix": "a b/ü", "delimiter": "/"},
            {"empty": "", "plus": "a+b", "percent": "100%", "star": "*~-_."},
        ],
    )
    def test_queries_are_sorted_and_encoded(self, params: dict[str, str]) -> None:
        verify(signed(method="GET", body=b"", params=params), KEYS, now())

    @pytest.mark.parametrize("query", ["uploads", "b=2&a=1&a=0", "prefix=a%20b&x=%2F", "versioning="])
    def test_queries_in_the_url_as_well(self, query: str) -> None:
        verify(signed(auth.S3SigV4Auth, "s3", method="GET", path=f"/bucket?{query}", body=b""), KEYS, now())

    def test_spaces_in_headers_count_once(self) -> None:
        verify(signed(headers={"x-amz-meta-a": "  one   two  ", "X-Amz-Target": "AmazonSQS.SendMessage"}), KEYS, now())

    @given(
        key=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
        value=st.text(st.characters(codec="utf-8"), max_size=20),
    )
    def test_any_object_key_and_query(self, key: str, value: str) -> None:
        path = "/bucket/" + quote(key, safe="/~")
        call = signed(auth.S3SigV4Auth, "s3", method="GET", path=f"{path}?prefix={quote(value, safe='~')}", body=b"")
        verify(call, KEYS, now())


class TestRefusals:
    def test_nothing_is_signed(self) -> None:
        assert reason(Call("POST", "/", headers={"host": "x"})) == "MissingAuthenticationToken"

    def test_an_unknown_key_and_a_wrong_secret(self) -> None:
        assert reason(signed(), {"OTHER": SECRET}) == "InvalidClientTokenId"
        assert reason(signed(secret="another")) == "SignatureDoesNotMatch"

    def test_what_was_changed_on_the_way(self) -> None:
        call = signed(headers={"x-amz-target": "AmazonSQS.SendMessage"})
        for change in (
            {"body": b"{ }"},
            {"method": "PUT"},
            {"path": "/other"},
            {"query": "Action=PurgeQueue"},
            {"headers": {**call.headers, "x-amz-target": "AmazonSQS.PurgeQueue"}},
            {"headers": {**call.headers, "host": "elsewhere"}},
        ):
            parts = {name: getattr(call, name) for name in ("method", "path", "query", "headers", "body")}
            assert reason(Call(**{**parts, **change})) == "SignatureDoesNotMatch", change

    def test_what_was_added_on_the_way(self) -> None:
        call = signed()
        headers = {**call.headers, "x-amz-target": "AmazonSQS.PurgeQueue"}
        assert reason(Call("POST", "/", "", headers, call.body)) == "SignatureDoesNotMatch"

    def test_clocks_may_differ_by_a_quarter_of_an_hour(self) -> None:
        call = signed()
        verify(call, KEYS, now() + 880)
        verify(call, KEYS, now() - 880)
        assert reason(call, at=now() + 920) == "RequestExpired"
        assert reason(call, at=now() - 920) == "RequestInTheFuture"

    @pytest.mark.parametrize(
        "text",
        [
            "AWS AKID:signature",
            "Bearer x",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/r/s/aws4_request, SignedHeaders=host",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/r/s/aws4_request, SignedHeaders=host, Signature=\u00fc",
        ],
    )
    def test_what_is_no_signature(self, text: str) -> None:
        assert reason(Call("POST", "/", headers={"host": "x", "authorization": text})) == "IncompleteSignature"

    def test_a_moment_that_is_none(self) -> None:
        call = signed()
        assert reason(Call("POST", "/", "", {**call.headers, "x-amz-date": "now"}, call.body)) == "IncompleteSignature"

    @given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
    def test_nothing_that_is_sent_breaks_it(self, authorization: str, moment: str, query: str) -> None:
        headers = {"host": "x", "authorization": authorization, "x-amz-date": moment}
        reason(Call("GET", "/", query, headers))
        reason(Call("GET", "/", f"X-Amz-Signature={query}&X-Amz-Credential={moment}", {"host": "x"}))


class TestPresigned:
    def test_a_url_of_the_older_version_says_which_is_wanted(self) -> None:
        call = Call("GET", "/bucket/a", f"AWSAccessKeyId={KEY}&Signature=x%3D&Expires=1795352719", {"host": "x"})
        with pytest.raises(Refused, match="signature_version='s3v4' in boto3"):
            verify(call, KEYS, now())

    def test_a_url_that_lasts(self) -> None:
        call = signed(auth.S3SigV4QueryAuth, "s3", method="GET", path="/bucket/a%20b", body=b"", expires=3600)
        assert "authorization" not in call.headers
        assert credential_of(call.headers, call.query) == verify(call, KEYS, now())
        verify(call, KEYS, now() + 3500)
        assert reason(call, at=now() + 3700) == "RequestExpired"

    def test_a_put_whose_body_nobody_knew(self) -> None:
        call = signed(auth.S3SigV4QueryAuth, "s3", method="PUT", path="/bucket/k", body=b"", expires=60)
        verify(Call("PUT", call.path, call.query, call.headers, b"anything"), KEYS, now())

    def test_a_queue_url_is_signed_with_its_body(self) -> None:
        call = signed(auth.SigV4QueryAuth, "sqs", method="GET", path="/000000000000/q?Action=ReceiveMessage", body=b"")
        verify(call, KEYS, now())
        assert reason(Call("GET", call.path, call.query, call.headers, b"x")) == "SignatureDoesNotMatch"

    def test_what_it_names_cannot_be_changed(self) -> None:
        call = signed(auth.S3SigV4QueryAuth, "s3", method="GET", path="/bucket/k", body=b"", expires=60)
        longer = call.query.replace("X-Amz-Expires=60", "X-Amz-Expires=600")
        assert reason(Call("GET", call.path, longer, call.headers)) == "SignatureDoesNotMatch"
        assert reason(Call("GET", "/bucket/other", call.query, call.headers)) == "SignatureDoesNotMatch"
        assert reason(Call("DELETE", call.path, call.query, call.headers)) == "SignatureDoesNotMatch"

    @pytest.mark.parametrize("seconds", ["0", "604801", "-1", "x", "\u0663"])
    def test_how_long_it_may_last(self, seconds: str) -> None:
        call = signed(auth.S3SigV4QueryAuth, "s3", method="GET", path="/b/k", body=b"", expires=60)
        query = call.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={seconds}")
        assert reason(Call("GET", call.path, query, call.headers)) == "IncompleteSignature"


class TestBodies:
    def test_s3_may_leave_a_body_unsigned(self) -> None:
        for claimed in ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"):
            call = signed(auth.S3SigV4Auth, "s3", method="PUT", path="/b/k", body=b"one")
            payload = dict(call.headers) | {"x-amz-content-sha256": claimed}
            unsigned = Call("PUT", call.path, "", _resigned(call, payload, claimed), b"two")
            verify(unsigned, KEYS, now())

    def test_others_may_not(self) -> None:
        call = signed(headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        assert reason(call) == "PayloadMismatch"

    def test_a_hash_that_is_not_the_bodys(self) -> None:
        call = signed(auth.S3SigV4Auth, "s3", method="PUT", path="/b/k", body=b"one")
        assert reason(Call("PUT", call.path, "", call.headers, b"two")) == "PayloadMismatch"


def _resigned(call: Call, headers: dict[str, str], payload: str) -> dict[str, str]:
    """The headers with a signature over what they say now."""
    found = sigv4.identify(call, KEYS, now())
    changed = Call(call.method, call.path, call.query, headers, call.body)
    request = hashlib.sha256(sigv4.canonical_request(changed, found, payload)).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{found.moment}\n{found.credential.scope}\n{request}"
    key = sigv4.signing_key(SECRET, found.credential.day, "eu-west-1", "s3")
    value = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {**headers, "authorization": headers["authorization"].replace(found.value, value)}


class TestChunks:
    """The example of the S3 API reference: 65 KiB of the letter a, in chunks of 64 KiB."""

    CREDENTIAL = Credential("AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3")
    SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    FIRST = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
    SECOND = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
    LAST = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
    BODY = (
        f"10000;chunk-signature={FIRST}\r\n{'a' * 65536}\r\n"
        f"400;chunk-signature={SECOND}\r\n{'a' * 1024}\r\n"
        f"0;chunk-signature={LAST}\r\n\r\n"
    ).encode()

    def check(self, body: bytes) -> None:
        signature = Signature(self.CREDENTIAL, ("host",), self.SEED, "20130524T000000Z")
        key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
        chunks.verify(body, signature, key)

    def test_as_amazon_signs_it(self) -> None:
        self.check(self.BODY)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"a\r\n400", b"b\r\n400"),
            (b"400;", b"3ff;"),
            (b"400;", b"fffffff;"),
            (SECOND.encode(), FIRST.encode()),
            (b"0;chunk-signature=b6", b"0;chunk-signature=b7"),
            (b"\r\n\r\n", b"\r\nx-amz-meta: added\r\n\r\n"),
            (b"10000;chunk", b";chunk"),
        ],
    )
    def test_what_was_changed_is_noticed(self, old: bytes, new: bytes) -> None:
        assert old in self.BODY
        with pytest.raises(ValueError, match=r"."):
            self.check(self.BODY.replace(old, new, 1))

    @given(st.binary(max_size=200))
    def test_nothing_that_is_sent_breaks_it(self, body: bytes) -> None:
        with pytest.raises(ValueError, match=r"."):
            self.check(body)


def test_what_is_said_before_the_credential_does_not_hide_it() -> None:
    scope = "KEY/20260101/eu-west-1/sqs/aws4_request"
    for text in (f"AWS4-HMAC-SHA256 Credential={scope}, Signature=x", f"odd, {'y' * 300},Credential={scope}, z"):
        found = credential_of({"authorization": text}, "")
        assert found is not None
        assert (found.key, found.region, found.service) == ("KEY", "eu-west-1", "sqs")
    assert (
        credential_of({"authorization": "AWS4-HMAC-SHA256 Credential=KEY/20260101/eu west/sqs/aws4_request"}, "")
        is None
    )
