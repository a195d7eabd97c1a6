"""`table get|scan|export`: the rows that functions wrote."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from millrace.cli import group
from millrace.cli.options import Choice, JsonOption, chooses_project
from millrace.cli.output import note, print_json, print_table
from millrace.cli.session import with_backend
from millrace.cli.shown import printable
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from millrace.store import Table

app = group("Read rows of a table: get, scan, export.")

TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="A table of the project.")]
_SUFFIXES = {".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv", ".parquet": "parquet"}


@app.command()
@chooses_project()
def get(
    choice: Choice,
    table: TableArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The row's key.")],
) -> None:
    """Print one row as JSON."""
    row = _with_table(choice, table, lambda opened: opened.get(key))
    if row is None:
        raise MillraceError(f"no row {key!r} in table {table!r}", f"there are: millrace table scan {table}")
    print_json(jsonlib.loads(row))


@app.command()
@chooses_project()
def scan(
    choice: Choice,
    table: TableArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="Most rows to show.")] = 20,
    after: Annotated[str | None, typer.Option("--after", help="Begin behind this key.")] = None,
    json: JsonOption = False,
) -> None:
    """Show a table's rows in the order of their keys."""
    rows = _with_table(choice, table, lambda opened: opened.scan(after=after, limit=limit + 1))
    shown = [jsonlib.loads(row.value) for row in rows[:limit]]
    if json:
        print_json(shown)
    elif shown:
        columns = list(dict.fromkeys(name for row in shown for name in row))
        print_table([_flat(row) for row in shown], columns)
    if not shown and not json:
        note(f"no rows in {table!r}" + (f" behind {after!r}" if after else ""))
    if len(rows) > limit:
        note(f"there is more: --limit, or --after {rows[limit - 1].key}; all of it: millrace table export {table}")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Values as they fit a cell: nested ones as JSON, text without what a terminal would obey."""
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        value = jsonlib.dumps(value, ensure_ascii=False)
    return printable(value) if isinstance(value, str) else value


@app.command()
@chooses_project()
def export(
    choice: Choice,
    table: TableArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; without it standard output.")] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="json, ndjson, csv or parquet; by default what the file's name says.")
    ] = None,
) -> None:
    """Write all rows, a page at a time: JSON (one array), NDJSON, CSV or Parquet.

    CSV and Parquet read the table twice, first for its columns. In CSV nested values are JSON.
    """
    kind = _format(output, format)
    if output is None:
        if kind == "parquet" and sys.stdout.isatty():
            raise MillraceError("Parquet is no text", "give a file with -o")
        _with_table(choice, table, lambda opened: _export(opened, kind, sys.stdout.buffer))
        sys.stdout.buffer.flush()
        return
    fresh = output.with_name(f".{output.name}.part")
    try:
        with fresh.open("wb") as file:
            count = _with_table(choice, table, lambda opened: _export(opened, kind, file))
        fresh.replace(output)  # as a whole: who reads it sees the old or the new
    except OSError as error:
        raise MillraceError(f"{output}: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)
    note(f"{count:,} rows in {output}")


async def _export(table: Table, kind: str, file: BinaryIO) -> int:
    from millrace.cli.export import export

    return await export(table, kind, file)


def _format(output: Path | None, format: str | None) -> str:
    kind = format or (_SUFFIXES.get(output.suffix.lower()) if output else "json")
    if kind in _SUFFIXES.values() and kind is not None:
        return kind
    got = repr(format or (output.name if output else ""))
    raise MillraceError(f"expected the format json, ndjson, csv or parquet, got {got}", "say which with --format")


def _with_table(choice: Choice, name: str, work: Callable[[Table], Awaitable[Any]]) -> Any:
    from millrace.config.names import check_table

    found = choice.load()
    check_table(found, name)
    return with_backend(found, lambda backend: work(backend.tables[name]))
