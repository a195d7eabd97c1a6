"""`invoke`: one call of a function in a real replica, without the queue."""

from __future__ import annotations

import asyncio
import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.options import ParameterOption, ProjectOption, SetOption, StageOption, load_project
from millrace.cli.output import note, print_json
from millrace.cli.send import read_body
from millrace.errors import LoadError, MillraceError

if TYPE_CHECKING:
    from millrace.config.schema import Project
    from millrace.flow.replicas import ReplicaSet
    from millrace.types import Failure, Message
    from millrace.wire import Line


def invoke(
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="A function of the project.")],
    data: Annotated[str | None, typer.Option("--data", "-d", help="The input: JSON, or text; - reads a pipe.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A message with this file's bytes.")] = None,
    event: Annotated[Path | None, typer.Option("--event", "-e", help="A file with the handler's whole event.")] = None,
    project: ProjectOption = None,
    stage: StageOption = None,
    overrides: SetOption = None,
    parameters: ParameterOption = None,
) -> None:
    """Call a function once and print what it answers as JSON.

    A model gets one message. A handler gets --data or --event as its event, and --file as a message of its
    queue; without any of them the event is {}. When the function fails its error is printed, and the exit code is 1.
    """
    from millrace.config.names import check_function

    found = load_project(project, stage, overrides, parameters)
    check_function(found, function)
    message = _message(found, function, data, file, event)
    value, failure = asyncio.run(_call(found, function, message))
    if failure is not None:
        print_json(_error(failure))
        raise typer.Exit(1)
    print_json(jsonlib.loads(value or b"null"))


def _message(project: Project, function: str, data: str | None, file: Path | None, event: Path | None) -> Message:
    from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
    from millrace.types import JSON, Message, new_id

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
        _check_json(content, "--event" if event else "--data")
    return Message(new_id(), content, attributes)


def _check_json(content: bytes, option: str) -> None:
    try:
        jsonlib.loads(content)
    except ValueError as error:
        raise MillraceError(f"{option}: expected JSON: {error}") from None


async def _call(project: Project, function: str, message: Message) -> tuple[bytes | None, Failure | None]:
    from millrace.cli.standby import endpoint_around

    async with endpoint_around(project) as endpoint:
        return await _call_with(project, function, message, endpoint)


async def _call_with(
    project: Project, function: str, message: Message, endpoint: dict[str, str] | None
) -> tuple[bytes | None, Failure | None]:
    from millrace.clock import SystemClock
    from millrace.flow.replicas import ReplicaSet
    from millrace.flow.spec import environment_of, spec_of

    replicas = ReplicaSet(
        spec_of(project, function),
        count=1,
        environment=environment_of(project, function, endpoint),
        clock=SystemClock(),
        load_timeout_s=project.functions[function].load_timeout,
        on_line=_show_line,
    )
    await replicas.start()
    try:
        await replicas.until(lambda found: found.status()[0].state != "loading")
        _check_loaded(replicas, function)
        return await _run(replicas, project.inbox(function), message)
    finally:
        await replicas.kill()


def _check_loaded(replicas: ReplicaSet, function: str) -> None:
    failure = replicas.status()[0].failure
    if failure is not None:
        raise LoadError(f"{function} did not load: {failure.type}: {failure.message}", failure.traceback.rstrip())


async def _run(replicas: ReplicaSet, queue: str, message: Message) -> tuple[bytes | None, Failure | None]:
    from millrace.types import new_id
    from millrace.wire import Ran, Run

    answer = await replicas.run(Run(1, new_id(), queue, [message], [1], [new_id()]))
    if not isinstance(answer, Ran):
        return None, answer.failure
    failure = answer.failure or answer.failures.get(0)
    return (None, failure) if failure else (answer.values[0], None)


def _show_line(line: Line) -> None:
    note(line.text)


def _error(failure: Failure) -> dict[str, Any]:
    return {
        "errorType": failure.type,
        "errorMessage": failure.message,
        "stackTrace": failure.traceback.splitlines(),
    }
