"""A handler's result as JSON, as strictly as Lambda takes it.

Lambda's runtime takes dicts, lists, tuples, strings, numbers, Decimals, booleans and None, and nothing more. What
millrace's own encoder would forgive (datetimes, sets, bytes) is refused here, or a handler would work until it is
deployed. NaN and infinity, which the runtime writes although JSON has no form for them, are refused as well.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

_MAX_DEPTH = 64


class MarshalError(TypeError):
    """A result that JSON cannot hold; the text names the value's path, its type and the way out."""


def marshal(value: Any) -> bytes:
    """The result as JSON bytes; raises MarshalError."""
    try:
        return _encoder.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MarshalError(f"Unable to marshal response: {_explain(value, '$', 0) or f'$: {error}'}") from None


def _decimal(value: object) -> int | float:
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(_name(value))


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_decimal)


def _explain(value: Any, path: str, depth: int) -> str:
    """What is wrong with the first part of `value` that is no JSON, "" when nothing is."""
    if depth > _MAX_DEPTH:
        return f"{path[:80]}...: the value is nested too deeply, or contains itself"
    if isinstance(value, dict):
        faults = (_explain_item(key, item, path, depth) for key, item in value.items())
    elif isinstance(value, list | tuple):
        faults = (_explain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
    else:
        return _explain_leaf(value, path)
    return next((fault for fault in faults if fault), "")


def _explain_item(key: object, item: Any, path: str, depth: int) -> str:
    if key is not None and not isinstance(key, str | int | float):
        return f"{path}: the key {key!r:.80} is a {_name(key)}; JSON keys are strings"
    return _explain_leaf(key, f"{path}, a key") or _explain(item, f"{path}.{key}", depth + 1)


def _explain_leaf(value: object, path: str) -> str:
    try:
        _encoder.encode(value).encode()
    except (TypeError, ValueError) as error:
        return f"{path}: {_way_out(value, error)}"
    return ""


def _way_out(value: object, error: Exception) -> str:
    name = _name(value)
    if isinstance(value, str):
        return f"{name} is not valid Unicode ({error})"
    if isinstance(value, float | Decimal):
        return f"{name} {value} has no form in JSON; return None or a string"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{name} is not JSON; return base64.b64encode(x).decode()"
    if isinstance(value, set | frozenset):
        return f"{name} is not JSON; return sorted(x) or list(x)"
    if callable(getattr(value, "isoformat", None)):
        return f"{name} is not JSON; return x.isoformat()"
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return f"{name} is not JSON; return x.item()"
    if callable(getattr(value, "tolist", None)):
        return f"{name} is not JSON; return x.tolist()"
    return f"{name} is not JSON; return dicts, lists, strings, numbers, booleans or None"


def _name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
