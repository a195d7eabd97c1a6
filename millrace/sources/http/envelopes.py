"""Messages whole, as programs send them: id, group, delay and TTL beside attributes and body, many in one commit.

A queue's path takes them as `application/vnd.millrace.messages+json`, an array of envelopes; single bodies may say
the same in the headers millrace-id, millrace-group, millrace-delay and millrace-ttl.
"""

from __future__ import annotations

import math

import msgspec

from millrace.sources.http import problems
from millrace.sources.http.attributes import CONTENT_TYPE, check
from millrace.sources.http.items import OCTETS, Item, Items, check_json
from millrace.sources.http.requests import Request
from millrace.sources.http.settings import Settings

MEDIA = "application/vnd.millrace.messages+json"
MAX_ID = 512


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """One message on the wire; `body` is base64."""

    body: bytes = b""
    attributes: dict[str, str] = {}
    id: str = ""
    group: str = ""
    delay_s: float | None = None
    ttl_s: float | None = None


_decode = msgspec.json.Decoder(list[Envelope]).decode


def read_envelopes(content: bytes, settings: Settings) -> Items:
    """The messages of an array of envelopes; raises a 400 problem that says which one is wrong, and how."""
    check_json(content)
    try:
        envelopes = _decode(content)
    except msgspec.ValidationError as error:
        raise problems.bad_request(f"The messages are not as they should be: {error}.", expected=_expected()) from None
    if not envelopes:
        raise problems.bad_request("The array is empty.", expected="at least one message")
    if len(envelopes) > settings.max_messages:
        raise problems.too_many("messages", settings.max_messages)
    return Items([_item(envelope, settings) for envelope in envelopes], several=True)


def described(item: Item, request: Request) -> Item:
    """The item with what the millrace- headers say of it."""
    id, group = request.header(b"millrace-id"), request.header(b"millrace-group")
    delay, ttl = request.header(b"millrace-delay"), request.header(b"millrace-ttl")
    if id is None and group is None and delay is None and ttl is None:
        return item
    return Item(
        item.body,
        item.attributes,
        id=_name("millrace-id", id or ""),
        group=_name("millrace-group", group or ""),
        delay_s=_seconds("millrace-delay", delay),
        ttl_s=_seconds("millrace-ttl", ttl),
    )


def _item(envelope: Envelope, settings: Settings) -> Item:
    own = {name: value for name, value in envelope.attributes.items() if name != CONTENT_TYPE}
    check(own, settings)
    content_type = envelope.attributes.get(CONTENT_TYPE, OCTETS)[:200]
    return Item(
        envelope.body,
        {**own, CONTENT_TYPE: content_type},
        id=_name("id", envelope.id),
        group=_name("group", envelope.group),
        delay_s=None if envelope.delay_s is None else _bounded("delay_s", envelope.delay_s),
        ttl_s=None if envelope.ttl_s is None else _bounded("ttl_s", envelope.ttl_s),
    )


def _name(what: str, text: str) -> str:
    if len(text) > MAX_ID:
        raise problems.bad_request(f"{what} is too long.", expected=f"at most {MAX_ID} characters", got=f"{len(text)}")
    return text


def _seconds(what: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return _bounded(what, float(text))
    except ValueError:
        raise _no_seconds(what, text) from None


def _bounded(what: str, seconds: float) -> float:
    if not math.isfinite(seconds) or seconds < 0:
        raise _no_seconds(what, str(seconds))
    return seconds


def _no_seconds(what: str, got: str) -> problems.Problem:
    return problems.bad_request(f"{what} must be a number of seconds.", expected="0 or more", got=got[:100])


def _expected() -> list[dict[str, str]]:
    return [{"body": "base64", "attributes": "{name: text}", "id": "", "group": "", "delay_s": "null", "ttl_s": "null"}]
