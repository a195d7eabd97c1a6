"""How rows lie in a table of DynamoDB: spread over a few hash keys, and in the order of their keys within each.

    bucket (S, hash)   key (S, range)   row (S)
    07                 =cat             {"id":"cat","n":1}

DynamoDB orders nothing but the range keys of one hash key, by their bytes in UTF-8, which is the order of characters.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from millrace.errors import TooLarge, not_utf8
from millrace.types import Row

BUCKETS = 16  # a scan asks each of them; a table is never read with another number
KEY_SCHEMA = [{"AttributeName": "bucket", "KeyType": "HASH"}, {"AttributeName": "key", "KeyType": "RANGE"}]
ATTRIBUTES = [{"AttributeName": name, "AttributeType": "S"} for name in ("bucket", "key")]
NAMED = {"#k": "key"}  # since expressions may have no reserved words
ABOUT = {"bucket": {"S": "millrace"}, "key": {"S": "table"}}  # the item that says by which field rows are stored
MAX_ITEM = 400 * 1024  # bytes, names included. DynamoDB developer guide, "Quotas"
_MAX_KEY = 1024  # bytes of a range key
_MARK = "="  # before each key, since DynamoDB has no empty ones
_OVERHEAD = 32  # bytes of the attributes' names and the bucket

Item = dict[str, dict[str, Any]]


def names() -> list[str]:
    """All buckets."""
    return [f"{number:02d}" for number in range(BUCKETS)]


def range_key(key: str) -> str:
    """A row's key as a range key, in the same order."""
    return _MARK + key


def place(key: str) -> Item:
    """The key of a row's item. Raises Unencodable."""
    try:
        bucket = crc32(key.encode()) % BUCKETS
    except UnicodeEncodeError as error:
        raise not_utf8(error) from None
    return {"bucket": {"S": f"{bucket:02d}"}, "key": {"S": range_key(key)}}


def item(row: Row) -> Item:
    """A row as an item. Raises TooLarge, Unencodable."""
    at = place(row.key)
    if len(range_key(row.key).encode()) > _MAX_KEY:
        raise TooLarge(f"table {row.table}: the key {row.key[:40]!r}... has more than {_MAX_KEY - 1} bytes", _HINT)
    if size(row) > MAX_ITEM:
        raise TooLarge(f"table {row.table}: row {row.key[:40]!r} has {len(row.value)} bytes, at most 400 KB fit", _HINT)
    return {**at, "row": {"S": row.value.decode()}}


def size(row: Row) -> int:
    """Bytes that a row takes, and a little more."""
    return len(row.value) + len(row.key.encode()) + _OVERHEAD


def row(table: str, found: Item) -> Row:
    """The row that an item is."""
    return Row(table, found["key"]["S"].removeprefix(_MARK), value(found))


def value(found: Item) -> bytes:
    """The row's JSON."""
    text: str = found["row"]["S"]
    return text.encode()


_HINT = "put what is large into a bucket, and its name into the row"
