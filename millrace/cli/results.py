"""`result`: what became of a message."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.options import Choice, JsonOption, chooses_project
from millrace.cli.output import print_json
from millrace.cli.session import with_backend
from millrace.cli.shown import age, failure_fields, failure_line, moment, printable
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.app import Backend
    from millrace.types import Record


@chooses_project()
def result(
    choice: Choice,
    id: Annotated[str, typer.Argument(metavar="ID", help="What `send` printed, or the gateway answered.")],
    wait: Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait until it is done or dead.")] = 0,
    json: JsonOption = False,
) -> None:
    """Show what became of a message: its state, its value or error, its times.

    The exit code is 1 when it is dead, or not finished after --wait.
    """

    async def look(backend: Backend) -> Record | None:
        return await backend.results.wait(id, wait) if wait else await backend.results.get(id)

    record = with_backend(choice.load(), look)
    if record is None:
        hint = "it was never accepted by this project, or longer ago than records are kept (24 h)"
        raise MillraceError(f"nothing is known of message {id!r}", hint)
    if json:
        print_json([_fields(record)])
    else:
        _print(record)
    if record.state == "dead" or (wait and record.state != "done"):
        raise typer.Exit(1)


def _fields(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "queue": record.queue,
        "state": record.state,
        "value": None if record.value is None else jsonlib.loads(bytes(record.value)),
        "failure": None if record.failure is None else failure_fields(record.failure),
        "attempts": record.attempts,
        "function": record.function,
        "version": record.version,
        "accepted_at": record.accepted_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def _print(record: Record) -> None:
    lines = {
        "id": record.id,
        "queue": record.queue,
        "state": record.state,
        "attempts": str(record.attempts),
        "function": f"{record.function} {record.version}".strip(),
        "accepted": moment(record.accepted_at),
        "finished": moment(record.finished_at),
        "took": age(record.finished_at - record.accepted_at) if record.finished_at and record.accepted_at else "",
        "error": failure_line(record.failure) if record.failure else "",
        "value": bytes(record.value).decode() if record.value is not None else "",
    }
    for name, text in lines.items():
        if text:
            typer.echo(printable(f"{name + ':':<10} {text}"))
    if record.failure and record.failure.traceback:
        typer.echo(printable(f"\n{record.failure.traceback.rstrip()}"))
