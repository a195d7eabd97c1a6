"""A whole table into a file, a page of rows at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, BinaryIO

from millrace.errors import MillraceError
from millrace.store import Table
from millrace.types import Row

_PAGE = 1000


async def export(table: Table, format: str, file: BinaryIO) -> int:
    """Write every row as json, ndjson, csv or parquet, and say how many."""
    match format:
        case "json":
            return await _json(table, file)
        case "ndjson":
            return await _ndjson(table, file)
        case "csv":
            return await _csv(table, file)
    return await _parquet(table, file)


async def pages(table: Table) -> AsyncIterator[list[Row]]:
    """All rows in key order."""
    after = None
    while page := await table.scan(after=after, limit=_PAGE):
        yield page
        after = page[-1].key


async def _json(table: Table, file: BinaryIO) -> int:
    count = 0
    file.write(b"[")
    async for page in pages(table):
        lead = b",\n " if count else b"\n "
        file.write(lead + b",\n ".join(row.value for row in page))
        count += len(page)
    file.write(b"\n]\n" if count else b"]\n")
    return count


async def _ndjson(table: Table, file: BinaryIO) -> int:
    count = 0
    async for page in pages(table):
        file.write(b"".join(row.value + b"\n" for row in page))
        count += len(page)
    return count


async def _csv(table: Table, file: BinaryIO) -> int:
    columns: dict[str, None] = {table.key: None}
    async for page in pages(table):
        for row in page:
            columns.update(dict.fromkeys(json.loads(row.value)))
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        return await _csv_rows(table, list(columns), text)
    finally:
        text.detach()  # the file is the caller's


async def _csv_rows(table: Table, columns: list[str], text: io.TextIOWrapper) -> int:
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    count = 0
    async for page in pages(table):
        try:
            writer.writerows(_cells(json.loads(row.value)) for row in page)
        except ValueError as error:
            raise changed(table, error) from error
        count += len(page)
    return count


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in row.items()
    }


async def _parquet(table: Table, file: BinaryIO) -> int:
    from millrace.feeds.parquet import load_pyarrow

    parquet = load_pyarrow()
    import pyarrow

    schema = await _schema(table, pyarrow)
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        async for page in pages(table):
            values = _values(page)
            if unknown := sorted({name for row in values for name in row} - set(schema.names)):
                raise changed(table, f"new field {unknown[0]!r}")
            try:
                writer.write_table(pyarrow.Table.from_pylist(values, schema=schema))
            except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
                raise changed(table, error) from error
            count += len(page)
    return count


async def _schema(table: Table, pyarrow: Any) -> Any:
    """One schema for all rows: numbers widen, a field that is sometimes missing may be null."""
    schema = pyarrow.schema([(table.key, pyarrow.string())])
    async for page in pages(table):
        try:
            # from_pylist looks at the first row's names only
            names = dict.fromkeys(name for row in _values(page) for name in row)
            found = pyarrow.Table.from_pydict({name: [row.get(name) for row in _values(page)] for name in names})
            schema = pyarrow.unify_schemas([schema, found.schema], promote_options="permissive")
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
            problem = f"table {table.name!r} does not fit Parquet: one field has values of several types: {error}"
            raise MillraceError(problem, "export it as ndjson") from error
    return schema


def _values(page: Iterable[Row]) -> list[dict[str, Any]]:
    return [json.loads(row.value) for row in page]


def changed(table: Table, why: object) -> MillraceError:
    """What to say when rows came that the first look did not see."""
    return MillraceError(f"table {table.name!r} changed while it was exported: {why}", "export it again")
