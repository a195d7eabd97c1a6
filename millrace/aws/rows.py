"""DynamoDB's items as rows of a table and back: natural JSON, with the digits of every number kept.

`{"id": {"S": "a"}, "n": {"N": "1.50"}}` is the row `{"id":"a","n":1.50}`. What JSON has no word for is written as
DynamoDB does, `{"$dynamodb": {"SS": ["x"]}}`: sets and binary, and a map that could be mistaken for one of these.

Types: Amazon DynamoDB API reference, "AttributeValue".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from millrace.aws.events.dynamodb import marshal

MARK = "$dynamodb"
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MOST_EXPONENT = 130  # DynamoDB's numbers end there: written out, a larger one could fill the memory
_SETS = ("SS", "NS", "BS")
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def to_row(item: Mapping[str, Mapping[str, Any]]) -> bytes:
    """An item as a JSON object."""
    return msgspec.json.encode({name: _natural(value) for name, value in item.items()})


def to_item(row: bytes) -> dict[str, dict[str, Any]]:
    """A row as an item; raises ValueError (msgspec.DecodeError) for what is not a JSON object."""
    return {name: marshal(value) for name, value in _decoder.decode(row).items()}


def row_key(values: Sequence[Mapping[str, Any]]) -> str:
    """The key of an item's row: the text of its hash key, or JSON [hash, range]."""
    texts = [_text(value) for value in values]
    return texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False)


def _natural(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind in ("S", "BOOL"):
        return content
    if kind == "NULL":
        return None
    if kind == "N":
        return _number(content)
    if kind == "L":
        return [_natural(part) for part in content]
    if kind == "M":
        mistakable = content.keys() == {MARK}
        return {MARK: dict(value)} if mistakable else {name: _natural(part) for name, part in content.items()}
    # Sorted, since a set has no order, and writing the same set again is to be no change.
    return {MARK: {kind: sorted(content) if kind in _SETS else content}}


def _number(digits: str) -> Any:
    """The digits as they stand where JSON can write them so: 1.50 stays 1.50."""
    if not _JSON_NUMBER.fullmatch(digits):
        digits = str(Decimal(digits))
    return msgspec.Raw(digits.encode())


def _text(value: Mapping[str, Any]) -> str:
    ((kind, content),) = value.items()
    if kind != "N":
        return str(content)
    try:
        number = Decimal(content).normalize()  # 1 and 1.0 are one key
    except ArithmeticError:
        return str(content)
    return format(number, "f") if abs(number.adjusted()) <= _MOST_EXPONENT else str(content)
