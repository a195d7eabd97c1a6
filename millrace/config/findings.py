"""What a check finds in a Project: a fault that knows its path in the project but not yet its place in a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

import msgspec

from millrace.config.faults import nearest, one_of

Path = tuple[str | int, ...]


class Finding(msgspec.Struct, frozen=True):
    """Something wrong or doubtful at a path.

    `at_key` points at the key rather than at its value; `absent` says that something is not there, which is not said
    again where it is there but misspelt. `in_clear` faults a value for standing in the file itself, and not where a
    variable holds it.
    """

    path: Path
    what: str
    expected: str = ""
    got: str = ""
    near: str = ""
    severity: Literal["error", "warning"] = "error"
    at_key: bool = False
    absent: bool = False
    in_clear: bool = False


def known(kind: str, name: str, declared: Collection[str], path: Path) -> Iterator[Finding]:
    """A finding where a name of that kind is not declared."""
    if name not in declared:
        near = nearest(name, declared)
        what = f"unknown {kind} {name!r}"
        yield Finding(path, what, one_of(declared, near) or f"a {kind} declared under `{kind}s`", near=near)
