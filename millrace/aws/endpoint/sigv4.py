"""Verifies signatures of version 4 (AWS4-HMAC-SHA256) on headers and presigned URLs.

    canonical request → string to sign → HMAC with a key derived from the secret, the day, the region and the service

Rules: AWS IAM user guide, "Create a signed AWS API request"; Amazon S3 API reference, "Authenticating Requests (AWS
Signature Version 4)", for what S3 does otherwise: its paths are encoded once and not normalised, and its bodies may be
unsigned or signed in chunks (chunks.py).
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from millrace.aws.endpoint import chunks
from millrace.aws.endpoint.call import Call
from millrace.aws.endpoint.signature import ALGORITHM, Credential, Malformed, Signature, signature_of

SKEW_S = 900.0
_MOST_EXPIRES_S = 7 * 86_400
_UNSIGNED = "UNSIGNED-PAYLOAD"
_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_PRESIGNED = b"X-Amz-Signature"


class Refused(Exception):
    """A request that is not let in; `reason` is one of AWS's common errors, the text is for the client."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def identify(call: Call, keys: Mapping[str, str], now_s: float) -> Signature:
    """The call's signature, of a known key and of this time: all that can be said before the body is read.

    `keys` are secrets by access key id, `now_s` is Unix seconds. Raises Refused: MissingAuthenticationToken,
    IncompleteSignature, InvalidClientTokenId, RequestExpired, RequestInTheFuture, or SignatureDoesNotMatch.
    """
    try:
        signature = signature_of(call.headers, call.query)
    except Malformed as fault:
        raise Refused("IncompleteSignature", str(fault)) from None
    if signature is None:
        raise Refused("MissingAuthenticationToken", "The request must be signed with one of the endpoint's keys.")
    if signature.credential.key not in keys:
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    _check_time(signature, now_s)
    _check_headers(call, signature)
    return signature


def verify(call: Call, keys: Mapping[str, str], now_s: float) -> Credential:
    """Who signed the call, for what. Raises Refused as `identify` does, and PayloadMismatch."""
    signature = identify(call, keys, now_s)
    _check_signature(call, signature, keys[signature.credential.key])
    return signature.credential


def _check_time(signature: Signature, now_s: float) -> None:
    try:
        signed_s = datetime.strptime(signature.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refused("IncompleteSignature", "Date must be in ISO-8601 'basic format'.") from None
    if not signature.moment.startswith(signature.credential.day):
        raise Refused("SignatureDoesNotMatch", "Date in Credential scope does not match YYYYMMDD of X-Amz-Date.")
    if signed_s > now_s + SKEW_S:
        raise Refused("RequestInTheFuture", f"Signature not yet current: {signature.moment} is still to come.")
    if signature.expires_s is not None and not 1 <= signature.expires_s <= _MOST_EXPIRES_S:
        raise Refused("IncompleteSignature", f"X-Amz-Expires must be from 1 to {_MOST_EXPIRES_S} seconds.")
    valid_s = SKEW_S if signature.expires_s is None else signature.expires_s
    if now_s > signed_s + valid_s:
        raise Refused("RequestExpired", f"Signature expired: {signature.moment} is more than {valid_s:g} s ago.")


def _check_headers(call: Call, signature: Signature) -> None:
    """What decides what a request does must be signed, or anyone on the way could change it."""
    must = {"host"} | {name for name in call.headers if name.startswith("x-amz-")}
    if missing := sorted(must - set(signature.signed_headers)):
        raise Refused("SignatureDoesNotMatch", f"Headers that must be signed were not: {', '.join(missing)}.")
    if unsent := [name for name in signature.signed_headers if name not in call.headers]:
        raise Refused("SignatureDoesNotMatch", f"Headers that were signed were not sent: {', '.join(unsent)}.")


def _check_signature(call: Call, signature: Signature, secret: str) -> None:
    credential = signature.credential
    payload = _payload_hash(call, signature)
    request = hashlib.sha256(canonical_request(call, signature, payload)).hexdigest()
    text = "\n".join((ALGORITHM, signature.moment, credential.scope, request))
    key = signing_key(secret, credential.day, credential.region, credential.service)
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.value.encode()):
        raise Refused(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )
    if payload in chunks.SIGNED:
        _check_chunks(call, signature, key)


def _check_chunks(call: Call, signature: Signature, key: bytes) -> None:
    try:
        chunks.verify(call.body, signature, key)
    except ValueError as fault:
        raise Refused("SignatureDoesNotMatch", f"A chunk of the body is not as it was signed: {fault}.") from None


def _payload_hash(call: Call, signature: Signature) -> str:
    """What stands for the body in the canonical request; what a client claims of it must be true."""
    claimed = call.headers.get("x-amz-content-sha256")
    if signature.credential.service == "s3":
        if claimed is None and signature.expires_s is not None:
            return _UNSIGNED
        if claimed in {_UNSIGNED, _UNSIGNED_TRAILER, *chunks.SIGNED}:
            return claimed or _UNSIGNED
    actual = hashlib.sha256(call.body).hexdigest()
    if claimed is not None and not hmac.compare_digest(claimed.encode(), actual.encode()):
        raise Refused("PayloadMismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return actual


def canonical_request(call: Call, signature: Signature, payload: str) -> bytes:
    """The request in the one form that both sides write alike; `payload` stands for its body."""
    encoded = _path_once if signature.credential.service == "s3" else _path_twice
    lines = [
        call.method.encode(),
        encoded(call.path).encode(),
        _query(call.query).encode(),
        *(_header(name, call.headers[name]) for name in sorted(signature.signed_headers)),
        b"",
        ";".join(signature.signed_headers).encode(),
        payload.encode(),
    ]
    return b"\n".join(lines)


def _path_once(path: str) -> str:
    """S3: each segment decoded and encoded as AWS encodes; an encoded slash stays one, dots and `//` stay too."""
    return "/".join(quote_from_bytes(unquote_to_bytes(segment), safe="~") for segment in path.split("/")) or "/"


def _path_twice(path: str) -> str:
    """Others: `.`, `..` and `//` resolved, and what is encoded already encoded once more."""
    normal = posixpath.normpath("/" + path.lstrip("/"))
    return quote(normal if normal == "/" or not path.endswith("/") else normal + "/", safe="/~")


def _query(query: str) -> str:
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in _pairs(query) if name != _PRESIGNED)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _pairs(query: str) -> Iterator[tuple[bytes, bytes]]:
    for part in query.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            yield unquote_to_bytes(name), unquote_to_bytes(value)


def _encoded(part: bytes) -> str:
    return quote_from_bytes(part, safe="~")


def _header(name: str, value: str) -> bytes:
    # As it was on the wire: ASGI's header bytes are read as latin-1.
    return f"{name}:{' '.join(value.split())}".encode("latin-1")


@lru_cache(256)
def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
