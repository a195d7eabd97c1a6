"""Durations and sizes as people write them: 30s, 20ms, 10m, 24h; 16MB, 1GiB. Seconds and bytes inside."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

DURATION = "a duration such as 30s, 20ms, 10m, 1h or a number of seconds"
SIZE = "a size such as 16MB, 1GB, 512KiB or a number of bytes"
_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def seconds(value: Any) -> float:
    """`30s`, `20ms`, `1h` or a plain number of seconds; raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and math.isfinite(value):
        return float(value)
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)):
        return float(match[1]) * _DURATION[match[2]]
    raise ValueError(DURATION)


def size(value: Any) -> int:
    """`16MB`, `1GiB` or a plain number of bytes; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?i?B)\s*", value, re.I)):
        return int(float(match[1]) * _SIZE[match[2].upper()])
    raise ValueError(SIZE)


def format_seconds(value: float) -> str:
    """A duration as people write it in the project file: 90.0 is 90s, 3600.0 is 1h, 0.02 is 20ms."""
    for unit in ("d", "h", "m"):
        if value >= _DURATION[unit] and value % _DURATION[unit] == 0:
            return f"{value / _DURATION[unit]:g}{unit}"
    return f"{value:g}s" if value >= 1 or value == 0 else f"{value * 1000:g}ms"


def format_bytes(value: int) -> str:
    """A size to read: 16MB, 1.5GB."""
    for unit in ("GB", "MB", "KB"):
        if value >= _SIZE[unit]:
            return f"{value / _SIZE[unit]:{'.3g' if value < 999.5 * _SIZE[unit] else '.0f'}}{unit}"
    return f"{value}B"


Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$"}]}
    ),
]
Bytes = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\d+(\.\d+)?\s*[KMGkmg]?[iI]?[Bb]$"},
            ]
        }
    ),
]
