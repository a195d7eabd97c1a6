"""`logs`: what functions printed and logged, by function and by message."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.options import JsonOption, ParameterOption, ProjectOption, StageOption, load_project
from millrace.cli.output import echo

if TYPE_CHECKING:
    from millrace.logbook import Entry


def logs(
    function: Annotated[str | None, typer.Argument(metavar="FUNCTION", help="Just this function's.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    id: Annotated[str | None, typer.Option("--id", help="Just what was said about this message or request.")] = None,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=1, help="Just the last lines.")] = None,
    json: JsonOption = False,
    project: ProjectOption = None,
    stage: StageOption = None,
    parameter: ParameterOption = None,
) -> None:
    """Show what functions printed and logged, oldest first.

    With --follow, --json prints an object a line.
    """
    from millrace.config.names import check_function
    from millrace.logbook import LogBook

    found = load_project(project, stage, parameters=parameter)
    if function is not None:
        check_function(found, function)
    book = LogBook(found.state / "logs")
    if follow:
        for entry in book.read(function, id, follow=True):
            echo(_json(entry) if json else _line(entry))
        return
    entries: Iterable[Entry] = book.read(function, id)
    _print(deque(entries, tail) if tail else entries, json)


def _print(entries: Iterable[Entry], json: bool) -> None:
    if not json:
        for entry in entries:
            echo(_line(entry))
        return
    first = True
    for entry in entries:
        typer.echo(("[" if first else ",\n ") + _json(entry), nl=False)
        first = False
    typer.echo("[]" if first else "]")


def _json(entry: Entry) -> str:
    import msgspec

    return msgspec.json.encode(_fields(entry)).decode()


def _fields(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def _line(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.ts).astimezone().strftime("%H:%M:%S.%f")[:-3]
    level = "" if entry.level == "INFO" else f"{entry.level} "
    return f"{at} {entry.function} {level}| {entry.text}"
