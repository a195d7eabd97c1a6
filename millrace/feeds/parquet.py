"""Parquet: one JSON object a row, a few hundred rows of one row group in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from millrace.feeds.item import MAX_ITEM_BYTES, Bad, Cursor, FeedError, Item, numbered

_ROWS = 500
_FOOTER_BYTES = 65_536


def load_pyarrow() -> Any:
    """pyarrow.parquet; raises FeedError that names the extra when it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise FeedError("Parquet needs pyarrow", "pip install 'millrace[parquet]'") from error
    return pyarrow.parquet


class ParquetReader:
    """Rows of a Parquet file; dates and times become ISO 8601, bytes base64, decimals strings, NaN null."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_ITEM_BYTES) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._parquet = load_pyarrow()

    @property
    def total(self) -> int | None:
        with self._opened() as file:
            return int(file.metadata.num_rows)

    def fingerprint(self, cursor: Cursor) -> str:
        """Of size and footer: a Parquet file is written once, and its footer has every column's statistics."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(max(0, size - _FOOTER_BYTES))
            return blake2b(file.read() + str(size).encode(), digest_size=16).hexdigest()

    def read(self, start: Cursor) -> Iterator[Item | Bad]:
        with self._opened() as file:
            first = 0
            for group in range(file.metadata.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if first + count > start.offset:
                    yield from self._group(file, group, first, start.offset)
                first += count

    def _group(self, file: Any, group: int, row: int, start: int) -> Iterator[Item | Bad]:
        for batch in file.iter_batches(batch_size=_ROWS, row_groups=[group]):
            if row + batch.num_rows > start:
                skipped = max(0, start - row)
                for number, values in enumerate(batch.slice(skipped).to_pylist(), start=row + skipped):
                    yield self._item(values, number)
            row += batch.num_rows

    def _item(self, values: dict[str, Any], row: int) -> Item | Bad:
        where, after = f"{self.path}: row {row + 1}", Cursor(row + 1)
        try:
            body = msgspec.json.encode(values)
        except (TypeError, ValueError) as error:
            return Bad(where, f"JSON cannot hold it: {error}", after)
        if len(body) > self.max_bytes:
            return Bad(where, f"longer than the limit of {self.max_bytes:,} bytes", after)
        return Item(body, numbered(row + 1), where, after)

    def _opened(self) -> Any:
        try:
            return self._parquet.ParquetFile(self.path)
        except (OSError, ValueError) as error:
            raise FeedError(f"{self.path}: not a Parquet file: {error}") from error
