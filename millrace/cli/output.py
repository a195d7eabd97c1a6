"""What commands print: tables or JSON on standard output, errors on standard error."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer

from millrace.cli.shown import coloured
from millrace.errors import MillraceError


def print_json(value: Any) -> None:
    """One JSON document on standard output, indented for people where a person is looking."""
    typer.echo(jsonlib.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str))


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str] | Sequence[str], json: bool = False
) -> None:
    """Rows as a table that fits the terminal, or as one JSON array of objects.

    `columns` are the fields to show, in order, or field -> heading; JSON has exactly these fields under their
    own names. Numbers stand right; None is shown as an empty cell and as null in JSON.
    """
    headings = dict(columns) if isinstance(columns, Mapping) else {name: name.replace("_", " ") for name in columns}
    if json:
        print_json([{field: row.get(field) for field in headings} for row in rows])
        return
    from rich.console import Console

    console = Console(soft_wrap=False, highlight=False)
    console.print(build_table(rows, headings))


def build_table(rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str]) -> Any:
    """The rich table that print_table prints, for commands that redraw one (`queues --watch`)."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for field, heading in headings.items():
        numeric = any(_is_number(row.get(field)) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(cell(row.get(field))) for field in headings))
    return table


def cell(value: Any) -> str:
    """A value as it stands in a table: numbers with separators, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def report(error: MillraceError) -> None:
    """The error's problem and its hint on standard error."""
    note(f"millrace: {error.problem}")
    if error.hint:
        note("\n".join(f"  {line}" for line in error.hint.splitlines()))


def fail(error: MillraceError, code: int = 1) -> NoReturn:
    """Print an error and leave with an exit code; raising the error does the same with the usual code."""
    report(error)
    raise typer.Exit(code)


def note(text: str) -> None:
    """A line for the person at the terminal, on standard error so that standard output stays data."""
    echo(text, err=True)


def echo(text: str, *, err: bool = False) -> None:
    """A text that may hold what users' code said: a terminal gets nothing of it to obey, but for colours."""
    stream = sys.stderr if err else sys.stdout
    typer.echo(coloured(text) if stream.isatty() else text, err=err)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
