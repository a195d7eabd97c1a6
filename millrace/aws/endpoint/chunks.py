"""Verifies bodies of S3 that were signed chunk by chunk, each over the signature of the one before.

    SIZE;chunk-signature=SIGNATURE\\r\\n
    ...bytes...\\r\\n
    0;chunk-signature=SIGNATURE\\r\\n
    x-amz-checksum-crc32c:VALUE\\r\\nx-amz-trailer-signature:SIGNATURE\\r\\n     only with -TRAILER
    \\r\\n

Shape: Amazon S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks (Chunked Upload)" and the same "including trailing headers".
"""

from __future__ import annotations

import hashlib
import hmac
import re

from millrace.aws.endpoint.signature import Signature

_PLAIN = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
SIGNED = frozenset({_PLAIN, _TRAILER})  # values of x-amz-content-sha256
_HEAD = re.compile(rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})\r\n")
_TRAILER_SIGNATURE = b"x-amz-trailer-signature"
_NOTHING = hashlib.sha256(b"").hexdigest()


def verify(body: bytes, signature: Signature, key: bytes) -> None:
    """Raise ValueError unless every chunk, and the trailer if there is one, is signed with `key`."""
    chain = _Chain(signature, key)
    place, size = 0, -1
    while size != 0:
        head = _HEAD.match(body, place)
        if head is None:
            raise ValueError(f"expected a chunk's size and signature at byte {place}")
        size, place = int(head[1], 16), head.end()
        data = body[place : place + size]
        if len(data) != size:
            raise ValueError("the body ends within a chunk")
        chain.check(f"{_NOTHING}\n{hashlib.sha256(data).hexdigest()}", head[2], "PAYLOAD")
        place += size
        if size:
            if body[place : place + 2] != b"\r\n":
                raise ValueError(f"expected the end of a chunk at byte {place}")
            place += 2
    _check_trailer(body[place:], chain)


def _check_trailer(rest: bytes, chain: _Chain) -> None:
    lines = [line.strip() for line in re.split(rb"\r\n|\n", rest) if line.strip()]
    signed = next((line for line in lines if line.lower().startswith(_TRAILER_SIGNATURE + b":")), None)
    headers = [line for line in lines if line is not signed]
    if signed is None:
        if headers:
            raise ValueError("the trailing headers are not signed")
        return
    text = b"".join(line + b"\n" for line in headers)
    chain.check(hashlib.sha256(text).hexdigest(), signed.partition(b":")[2].strip(), "TRAILER")


class _Chain:
    """The signature before, over which the next one is made; the first is the request's own."""

    def __init__(self, signature: Signature, key: bytes) -> None:
        self._before = signature.value
        self._when_and_where = f"{signature.moment}\n{signature.credential.scope}"
        self._key = key

    def check(self, what: str, given: bytes, kind: str) -> None:
        text = f"AWS4-HMAC-SHA256-{kind}\n{self._when_and_where}\n{self._before}\n{what}"
        expected = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), given):
            raise ValueError(f"the signature of a {'trailer' if kind == 'TRAILER' else 'chunk'} does not match")
        self._before = expected
