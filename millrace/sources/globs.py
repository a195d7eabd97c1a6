"""Patterns of object keys, as in `incoming/*.jpg`."""

from __future__ import annotations

import re
from collections.abc import Callable

_PART = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a key matches: * and ? stay within a folder, ** crosses folders, an empty pattern takes all."""
    parts = _PART.findall(pattern or "**")
    expression = re.compile("".join(_MEANING.get(part) or re.escape(part) for part in parts), re.DOTALL)
    return lambda key: expression.fullmatch(key) is not None


def literal_prefix(pattern: str) -> str:
    """What every matching key begins with, so that no more than that need be listed."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]
