"""What a check finds in a Project: a fault that knows its path in the project but not yet its place in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Finding:
    """Something wrong or doubtful at a path.

    `at_key` points at the key rather than at its value; `absent` says that something is not there, which is not said
    again where it is there but misspelt.
    """

    path: Path
    what: str
    expected: str = ""
    got: str = ""
    near: str = ""
    severity: Literal["error", "warning"] = "error"
    at_key: bool = False
    absent: bool = False
