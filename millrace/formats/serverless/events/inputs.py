"""What schedules and rules have in common: the event that they give instead of their own, and whether they are on."""

from __future__ import annotations

import json
from typing import Any

from millrace.formats.cloudformation.values import is_false
from millrace.formats.nodes import node as made
from millrace.formats.serverless.events.asked import Asked


def given_input(asked: Asked) -> dict[str, Any]:
    """`{input: ...}` of an event's `input`, which may be a JSON text."""
    found = asked.get("input")
    if found is None:
        return {}
    resolved = asked.reading.resolve(found)
    if isinstance(resolved.value, str) and resolved.written is None:
        try:
            return {"input": made(json.loads(resolved.value), found)}
        except (ValueError, RecursionError):
            return {"input": resolved}
    return {"input": resolved}


def given_path(asked: Asked) -> dict[str, Any]:
    """`{input_path: ...}` of an event's `inputPath`."""
    found = asked.get("inputPath")
    return {} if found is None else {"input_path": asked.reading.resolve(found)}


def switched_off(asked: Asked) -> dict[str, Any]:
    """`{enabled: false}` where the event says so."""
    return {"enabled": False} if is_false(asked.get("enabled")) else {}
