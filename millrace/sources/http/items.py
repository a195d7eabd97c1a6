"""From one body to the messages it holds: raw, JSON, NDJSON (one a line), multipart files (one a file).

A body that is declared as JSON is checked before anything is stored, so that a broken line costs the sender a 400
and not a model its batch. It is checked, not rebuilt: the message carries the bytes that were sent.
"""

from __future__ import annotations

from typing import Any

import msgspec
from python_multipart.multipart import parse_options_header

from millrace.sources.http import multipart, problems
from millrace.sources.http.attributes import CONTENT_TYPE
from millrace.sources.http.bodies import Body
from millrace.sources.http.requests import Request
from millrace.sources.http.settings import Settings
from millrace.types import JSON

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
FORM = "application/x-www-form-urlencoded"
OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
_SHOWN = 80

_check = msgspec.json.Decoder(msgspec.Raw).decode


class Item(msgspec.Struct, frozen=True, gc=False):
    """What becomes one message; `id` and `group` are empty and `ttl_s` None where the sender did not say."""

    body: bytes
    attributes: dict[str, str]
    id: str = ""
    group: str = ""
    delay_s: float | None = None
    ttl_s: float | None = None


class Items(msgspec.Struct, frozen=True, gc=False):
    """The messages of a request; `several` when the sender's format can hold many, and so wants many ids."""

    items: list[Item]
    several: bool = False


async def read_items(request: Request, body: Body, settings: Settings) -> Items:
    """The messages of a request's body, whatever its content type; raises a problem if one of them is bad."""
    encoding = request.header(b"content-encoding")
    if encoding not in (None, "", "identity"):
        raise problems.unsupported(f"content-encoding: {encoding}", "identity", ((b"accept-encoding", b"identity"),))
    declared = request.header(b"content-type") or ""
    media = declared.partition(";")[0].rstrip().lower()
    if media.startswith("multipart/"):
        return await _files(media, declared, body, settings)
    content = await body.read()
    if media in NDJSON:
        return Items(_lines(content, settings), several=True)
    return Items([_item(content, media, declared)])


def is_json(media: str) -> bool:
    """Whether a media type is JSON: application/json, or anything that ends in +json."""
    return media == JSON or media.endswith("+json")


def _item(content: bytes, media: str, declared: str) -> Item:
    if media in ("", FORM):
        return Item(content, {CONTENT_TYPE: guessed(content)})
    if is_json(media):
        check_json(content)
    return Item(content, {CONTENT_TYPE: declared[:200]})


def guessed(content: bytes) -> str:
    """The content type of a body that came without one, or with the form type that curl -d gives everything.

    A JSON object or array is JSON, other UTF-8 is text, the rest is bytes.
    """
    if content[:64].lstrip()[:1] in (b"{", b"[") and _json_fault(content) is None:
        return JSON
    return TEXT if content and b"\0" not in content and _is_utf8(content) else OCTETS


def check_json(content: bytes) -> None:
    """Raise a 400 problem that says where the body stops being JSON."""
    fault = _json_fault(content)
    if fault is not None:
        raise problems.not_json(f"The body is declared as JSON, but: {fault}.", _shown(content))


def _json_fault(content: bytes) -> str | None:
    if not content:
        return "it is empty"
    if not _is_utf8(content):
        return "it is not UTF-8"
    try:
        _check(content)
    except ValueError as error:
        return str(error).rstrip(".")
    except RecursionError:
        return "it is nested too deeply"
    return None


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(content: bytes, settings: Settings) -> list[Item]:
    attributes = {CONTENT_TYPE: JSON}
    items: list[Item] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        text = line.strip()
        if not text:
            continue
        if len(items) == settings.max_messages:
            raise problems.too_many("lines", settings.max_messages)
        fault = _json_fault(text)
        if fault is not None:
            raise problems.not_json(
                f"Line {number} is not JSON: {fault}. None of the lines was stored.", _shown(text), line=number
            )
        items.append(Item(text, attributes))
    if not items:
        raise problems.bad_request("The body holds no lines.", expected="one JSON value a line", got="nothing")
    return items


async def _files(media: str, declared: str, body: Body, settings: Settings) -> Items:
    if media != "multipart/form-data":
        raise problems.unsupported(media, "multipart/form-data")
    form = await multipart.read_form(body, _boundary(declared), settings)
    if not form.files:
        raise problems.bad_request(
            "The form holds no file.",
            expected="a part with a filename for each message, as curl -F file=@cat.jpg sends",
            got=f"{len(form.fields)} fields without a filename",
        )
    items = [_file_item(file, form.fields) for file in form.files]
    return Items(items, several=len(items) > 1)


def _file_item(file: multipart.File, fields: dict[str, str]) -> Item:
    media = file.content_type.partition(";")[0].strip().lower()
    if is_json(media):
        check_json(file.body)
    own = {CONTENT_TYPE: file.content_type or OCTETS}
    if file.filename:
        own["filename"] = file.filename
    return Item(file.body, {**fields, **own})


def _boundary(declared: str) -> bytes:
    options: dict[bytes, Any] = parse_options_header(declared)[1]
    boundary: bytes = options.get(b"boundary", b"")
    if not boundary:
        raise problems.bad_request(
            "The multipart body has no boundary.",
            expected="content-type: multipart/form-data; boundary=...",
            got=declared[:200],
        )
    return boundary


def _shown(content: bytes) -> str:
    text = content[:_SHOWN].decode(errors="replace")
    return text + " ..." if len(content) > _SHOWN else text
