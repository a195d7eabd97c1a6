"""`invoke`: one call of a function, through the `up` that runs, else in a replica of its own."""

from __future__ import annotations

import base64
import json as jsonlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from millrace.cli.options import Choice, chooses_project
from millrace.cli.output import note, print_json
from millrace.cli.send import read_body
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.config.schema import Project
    from millrace.flow.process import Spawn
    from millrace.types import Message

Kind = Literal["RequestResponse", "Event", "DryRun"]
_MOST_CONTEXT_CHARS = 3_583  # in base64, as Lambda counts


@chooses_project("overrides")
def invoke(
    choice: Choice,
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="A function of the project.")],
    data: Annotated[str | None, typer.Option("--data", "-d", help="The input: JSON, or text; - reads a pipe.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A message with this file's bytes.")] = None,
    event: Annotated[Path | None, typer.Option("--event", "-e", help="A file with the handler's whole event.")] = None,
    kind: Annotated[
        Kind, typer.Option("--type", help="Wait for the answer, have it run later, or only see that it could run.")
    ] = "RequestResponse",
    log: Annotated[
        bool, typer.Option("--log", help="Show the call's log on standard error, as Lambda has it.")
    ] = False,
    client_context: Annotated[
        str, typer.Option("--client-context", metavar="JSON", help="What context.client_context holds.")
    ] = "",
) -> None:
    """Call a function once and print what it answers as JSON.

    A model gets one message. A handler gets --data or --event as its event, and --file as a message of its
    queue; without any of them the event is {}. A handler of a project with `aws:` is called in the `millrace up`
    that runs, if one does. When the function fails its error is printed as Lambda tells it, and the exit code is 1.
    """
    with _spawn(kind, choice.project) as spawn:
        from millrace.cli.calling import Call, answer
        from millrace.config.names import check_function

        found = choice.load()
        check_function(found, function)
        _check_kind(found, function, kind, is_message=file is not None, context=client_context)
        message = _message(found, function, data, file, event, _context(client_context))
        told = answer(found, Call(function, message, kind, whole_event=file is None, log=log), spawn)
    if told.log:
        note(told.log.rstrip("\n"))
    print_json(jsonlib.loads(told.payload or b"null"))
    if told.failed:
        if known := _remedy(told.payload):
            note(f"what to do: {known}")
        raise typer.Exit(1)


def _spawn(kind: Kind, project: Path | None) -> AbstractContextManager[Spawn]:
    """What starts the replica: where there will be a call, one is being started already."""
    if kind == "RequestResponse":
        from millrace.flow.head_start import HeadStart

        place = project or Path.cwd()
        return HeadStart(place if place.is_dir() else place.parent)
    from millrace.flow.process import Process

    return nullcontext(Process)


def _remedy(document: bytes) -> str:
    """What to do about an error as Lambda tells it, wherever the function ran; "" when its own text says it all."""
    from millrace.flow.hints import hint
    from millrace.types import Failure

    error = jsonlib.loads(document)
    return hint(Failure(error["errorType"], error["errorMessage"], "".join(error.get("stackTrace", ()))))


def _check_kind(project: Project, function: str, kind: Kind, *, is_message: bool, context: str) -> None:
    if project.functions[function].kind == "model":
        if kind == "Event" or context:
            option = "--type Event" if kind == "Event" else "--client-context"
            raise MillraceError(f"{function!r} is a model: {option} is for handlers", "use `millrace send`")
    elif is_message and (kind == "Event" or context):
        raise MillraceError("--file is a message of the function's queue, not an event", "use `millrace send`")


def _context(text: str) -> str:
    """The client context as given. Raises MillraceError unless it is an object of JSON that Lambda would take."""
    try:
        fits = not text or isinstance(jsonlib.loads(text), dict)
    except ValueError as error:
        raise MillraceError(f"--client-context: expected JSON: {error}") from None
    if not fits or len(base64.b64encode(text.encode())) > _MOST_CONTEXT_CHARS:
        expected = f"an object of JSON of at most {_MOST_CONTEXT_CHARS} characters in base64"
        raise MillraceError(f"--client-context: expected {expected}", 'such as {"custom": {"caller": "me"}}')
    return text


def _message(
    project: Project, function: str, data: str | None, file: Path | None, event: Path | None, context: str
) -> Message:
    import uuid

    from millrace.aws.context import CLIENT_CONTEXT_ATTRIBUTE
    from millrace.ids import new_id
    from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
    from millrace.types import JSON, Message

    is_handler = project.functions[function].kind != "model"
    if sum(given is not None for given in (data, file, event)) > 1:
        raise MillraceError("expected one of --data, --file and --event, got several")
    if data is None and file is None and event is None:
        if not is_handler:
            raise MillraceError(f"{function!r} is a model: it needs an input", "give --data or --file")
        data = "{}"
    content, attributes = read_body(data, file or event, project.gateway.max_body)
    if file is None and (event is not None or is_handler):
        attributes = {"content-type": JSON} | ({EVENT_ATTRIBUTE: RAW_EVENT} if is_handler else {})
        attributes |= {CLIENT_CONTEXT_ATTRIBUTE: context} if context else {}
        _check_json(content, event)
    return Message(str(uuid.uuid4()) if is_handler else new_id(), content, attributes)


def _check_json(content: bytes, file: Path | None) -> None:
    try:
        jsonlib.loads(content.decode())
    except ValueError as error:
        where = "--data" if file is None else f"--event {file}"
        way_out = "a text wants quotes: --data '\"hello\"'" if file is None else "`millrace event SOURCE` prints one"
        raise MillraceError(f"{where}: expected JSON: {error}", way_out) from None
