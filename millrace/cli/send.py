"""`send`: one message into a queue, durable when the command returns."""

from __future__ import annotations

import json as jsonlib
import mimetypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from millrace.cli.options import Choice, chooses_project
from millrace.cli.output import note, print_json
from millrace.cli.session import with_backend
from millrace.errors import MillraceError, TooLarge

if TYPE_CHECKING:
    from millrace.types import Accepted, Put

_RESERVED = "millrace-"
_BYTES = "application/octet-stream"


@chooses_project()
def send(
    choice: Choice,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="A queue of the project.")],
    body: Annotated[str | None, typer.Argument(metavar="BODY", help="The body; - reads standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Send a file's bytes.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="The message's id: the same id again stores nothing.")] = None,
    attr: Annotated[
        list[str] | None, typer.Option("--attr", metavar="KEY=VALUE", help="An attribute. Repeatable.")
    ] = None,
    delay: Annotated[str, typer.Option("--delay", help="Not visible before: 30s, 10m, 1h.")] = "0s",
    group: Annotated[str, typer.Option("--group", help="The message group, in a FIFO queue.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of the id.")] = False,
) -> None:
    """Put one message into a queue and print its id.

    A JSON object or array is sent as application/json, other text as text/plain; say otherwise with
    --attr content-type=...
    """
    from millrace.config.names import check_queue
    from millrace.ids import new_id
    from millrace.types import Message, Put

    found = choice.load()
    check_queue(found, queue)
    content, attributes = read_body(body, file, found.gateway.max_body)
    attributes |= parse_attributes(attr or [])
    put = Put(queue, Message(id or new_id(), content, attributes, group=group), delay_s=parse_delay(delay))
    accepted = with_backend(found, lambda backend: backend.broker.put([put]))[0]
    _print(accepted, put, json)


def _print(accepted: Accepted, put: Put, json: bool) -> None:
    if json:
        print_json({"id": accepted.id, "queue": put.queue, "duplicate": accepted.duplicate})
        return
    typer.echo(accepted.id)
    if accepted.duplicate:
        note(f"{put.queue!r} knows this id already; the first message stands")


def read_body(text: str | None, file: Path | None, max_bytes: int) -> tuple[bytes, dict[str, str]]:
    """The body that arguments choose, and the attributes that say what it is. Raises TooLarge, MillraceError."""
    if (text is None) == (file is None):
        raise MillraceError("expected a body or --file, " + ("got both" if file else "got neither"), "- reads a pipe")
    if file is not None:
        guess = mimetypes.guess_type(file.name)[0] or _BYTES
        name = os.fsencode(file.name).decode(errors="replace")  # which may be any bytes
        return _read_file(file, max_bytes), {"content-type": guess, "filename": name}
    content = _limited(sys.stdin.buffer, "standard input", max_bytes) if text == "-" else text.encode()  # type: ignore[union-attr]
    return content, {"content-type": guess_type(content)}


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return _limited(file, str(path), max_bytes)
    except OSError as error:
        raise MillraceError(f"{path}: {error.strerror}") from error


def _limited(file: BinaryIO, name: str, max_bytes: int) -> bytes:
    content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise TooLarge(f"{name} is larger than {max_bytes:,} bytes", "raise gateway.max_body in millrace.yml")
    return content


def guess_type(content: bytes) -> str:
    """What a body is that comes without a name: an object or array JSON, other UTF-8 text, the rest bytes."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return _BYTES
    if text.lstrip()[:1] in ("{", "["):
        try:
            jsonlib.loads(text)
        except ValueError:
            pass
        else:
            return "application/json"
    return "text/plain; charset=utf-8"


def parse_attributes(pairs: list[str]) -> dict[str, str]:
    """KEY=VALUE pairs as attributes. Raises MillraceError."""
    attributes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise MillraceError(f"--attr: expected KEY=VALUE, got {pair!r}")
        if name.lower().startswith(_RESERVED):
            raise MillraceError(f"--attr {name}: names that begin with {_RESERVED!r} are millrace's own")
        attributes[name] = value
    return attributes


def parse_delay(text: str) -> float:
    """A duration as people write it, or a number of seconds. Raises MillraceError."""
    from millrace.config.units import seconds

    try:
        return seconds(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError as error:
        raise MillraceError(f"--delay: expected {error}, got {text!r}") from None
