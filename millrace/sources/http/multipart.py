"""multipart/form-data (RFC 7578), parsed while it arrives: parts with a filename are files, the others are fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

from millrace.sources.http import problems
from millrace.sources.http.attributes import check, joined
from millrace.sources.http.bodies import Body
from millrace.sources.http.settings import Settings

_MAX_NAME = 1024


class File(msgspec.Struct, frozen=True):
    """One uploaded file; `filename` is what the client calls it: a label, never a path."""

    filename: str
    content_type: str
    body: bytes


class Form(msgspec.Struct, frozen=True):
    """A whole form: its files in order, its other fields by name."""

    files: list[File]
    fields: dict[str, str]


async def read_form(body: Body, boundary: bytes, settings: Settings) -> Form:
    """Read a form from a body; raises a 400 problem when it is malformed or cut short."""
    parts = _Parts(settings)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        await body.feed(parser.write)
    except FormParserError as error:
        raise _malformed(str(error)) from None
    if not parts.complete:
        raise _malformed("it ends before its closing boundary")
    fields = joined(parts.fields)
    check(fields, settings)
    return Form(parts.files, fields)


def _malformed(why: str) -> problems.Problem:
    return problems.bad_request(
        f"The multipart body is malformed: {why[:200]}.", expected="RFC 7578 multipart/form-data"
    )


class _Parts:
    """The parser's callbacks: collects one part after the other."""

    def __init__(self, settings: Settings) -> None:
        self.files: list[File] = []
        self.fields: list[tuple[str, str]] = []
        self.complete = False
        self._settings = settings
        self._field_bytes = 0
        self._begin()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._chunks: list[bytes] = []
        self._options: dict[bytes, bytes] = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        kind, self._options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in self._options:
            raise problems.bad_request(
                "A part of the form does not say what it is.", expected='content-disposition: form-data; name="..."'
            )
        if self._is_file and len(self.files) == self._settings.max_messages:
            raise problems.too_many("files", self._settings.max_messages)
        if not self._is_file and len(self.fields) == self._settings.max_attributes:
            raise problems.attributes_too_large(
                "The form has too many fields.", f"at most {self._settings.max_attributes}"
            )

    @property
    def _is_file(self) -> bool:
        return b"filename" in self._options

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])
        if not self._is_file:
            self._field_bytes += end - start
            if self._field_bytes > self._settings.max_attribute_bytes:
                limit = f"at most {self._settings.max_attribute_bytes} bytes"
                raise problems.attributes_too_large("The form's fields are too large.", limit)

    def _end(self) -> None:
        content = b"".join(self._chunks)
        if self._is_file:
            declared = self._headers.get(b"content-type", b"").decode("latin-1").strip()[:200]
            self.files.append(File(_text(self._options[b"filename"])[:_MAX_NAME], declared, content))
        else:
            self.fields.append((_text(self._options[b"name"])[:_MAX_NAME], _text(content)))

    def _complete(self) -> None:
        self.complete = True


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
