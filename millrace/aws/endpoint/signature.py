"""What a request says of its own signature: who signed, for which region and service, and what was signed.

Two places: the Authorization header, and the query of a presigned URL. Nothing is verified here (sigv4.py does), since
the region and the service are wanted on loopback too, where signatures may be anything.

    Authorization: AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/sqs/aws4_request, SignedHeaders=..., Signature=...

Shape: AWS IAM user guide, "Elements of an AWS API request signature".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qsl

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
_SCOPE = re.compile(r"([^/\s,]+)/(\d{8})/([^/\s,]+)/([^/\s,]+)/aws4_request")
_PART = re.compile(r"(Credential|SignedHeaders|Signature)=([^\s,]+)")
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_REMEMBERED = 256  # characters


class Credential(msgspec.Struct, frozen=True):
    """The access key id and the scope that a request was signed for; `day` is YYYYMMDD."""

    key: str
    day: str
    region: str
    service: str

    @property
    def scope(self) -> str:
        """The scope as it is signed."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


class Signature(msgspec.Struct, frozen=True):
    """A whole signature: `expires_s` is None outside presigned URLs, `moment` is as it was sent (ISO 8601 basic)."""

    credential: Credential
    signed_headers: tuple[str, ...]
    value: str
    moment: str
    expires_s: int | None = None


class Malformed(ValueError):
    """There is a signature, but it is not as it must be; the text says what is missing."""


def credential_of(headers: Mapping[str, str], query: str) -> Credential | None:
    """For whom and where a request says that it was signed; None for what is not, or not readably, signed."""
    text = headers.get("authorization", "")
    if not text and "X-Amz-Credential=" in query:
        text = _parameters(query).get("X-Amz-Credential", "")
    return _credential(text)


def signature_of(headers: Mapping[str, str], query: str) -> Signature | None:
    """The request's signature, None without one. Raises Malformed."""
    if text := headers.get("authorization", "").strip():
        return _from_header(text, headers)
    if "X-Amz-Signature=" in query or "X-Amz-Algorithm=" in query:
        return _from_query(_parameters(query))
    if "AWSAccessKeyId=" in query and "Signature=" in query:
        raise Malformed(f"The URL is signed with version 2: expected {ALGORITHM}, signature_version='s3v4' in boto3.")
    return None


def _from_header(text: str, headers: Mapping[str, str]) -> Signature:
    algorithm, _, rest = text.partition(" ")
    if algorithm != ALGORITHM:
        raise Malformed(f"The authorization mechanism is not supported: expected {ALGORITHM}.")
    parts = dict(_PART.findall(rest))
    moment = headers.get("x-amz-date", "")
    return _signature(parts, moment, None)


def _from_query(given: Mapping[str, str]) -> Signature:
    if given.get("X-Amz-Algorithm") != ALGORITHM:
        raise Malformed(f"X-Amz-Algorithm is not supported: expected {ALGORITHM}.")
    expires = given.get("X-Amz-Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 8):
        raise Malformed("X-Amz-Expires should be a number.")
    parts = {
        name: given[f"X-Amz-{name}"]
        for name in ("Credential", "SignedHeaders", "Signature")
        if given.get(f"X-Amz-{name}")
    }
    return _signature(parts, given.get("X-Amz-Date", ""), int(expires))


def _signature(parts: Mapping[str, str], moment: str, expires_s: int | None) -> Signature:
    for name in ("Credential", "SignedHeaders", "Signature"):
        if name not in parts:
            raise Malformed(f"Authorization requires '{name}' parameter.")
    credential = _credential(parts["Credential"])
    if credential is None:
        raise Malformed("Credential should be scoped as KEY/YYYYMMDD/region/service/aws4_request.")
    if not moment:
        raise Malformed("Authorization requires 'X-Amz-Date'.")
    signed = tuple(parts["SignedHeaders"].lower().split(";"))
    return Signature(credential, signed, parts["Signature"], moment, expires_s)


def _credential(text: str) -> Credential | None:
    first = text[:_REMEMBERED].partition(",")[0]
    return _remembered(first) or _found(text)


@lru_cache(maxsize=256)
def _remembered(first: str) -> Credential | None:
    """Of what a signer's headers begin with, the same for a day; the rest differs from request to request."""
    return _found(first)


def _found(text: str) -> Credential | None:
    found = _SCOPE.search(text)
    if found is None or not _REGION.fullmatch(found[3]):
        return None
    return Credential(found[1].rpartition("Credential=")[2], found[2], found[3], found[4])


def _parameters(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))
