"""What Lambda's API refuses, as it names it."""

from __future__ import annotations

from collections.abc import Mapping

_MOST_DIGITS = 5


class Refusal(Exception):
    """A request that Lambda refuses: status, error code, and the text for people."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def number(given: Mapping[str, list[str]], name: str, default: int) -> int:
    """A parameter of the query. Raises Refusal where it is no number."""
    value = given.get(name, [str(default)])[0]
    if not (value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS):
        raise Refusal(400, "InvalidParameterValueException", f"{name} must be a number.")
    return int(value)
