"""What a pickle wants, read from its opcodes without loading it: loading runs whatever the pickle says.

    file → opcodes (pickletools) → the names that GLOBAL and STACK_GLOBAL push → those that will not be there

joblib writes the bytes of arrays between the opcodes; what comes behind the first array is not read then.
Opcodes: Python library reference, pickletools.
"""

from __future__ import annotations

import ast
import itertools
import pickletools
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import BinaryIO, NamedTuple

SUFFIXES = (".pkl", ".pickle", ".joblib", ".sav")
_MAX_OPCODES = 2_000_000
_MAX_SOURCE_BYTES = 2_000_000
_SCRIPT = ("__main__", "__mp_main__")
_MEMO_WRITES = {"PUT", "BINPUT", "LONG_BINPUT"}
_MEMO_READS = {"GET", "BINGET", "LONG_BINGET"}
_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}


class Wanted(NamedTuple):
    """A name that a pickle takes from a module."""

    module: str
    name: str


class Missing(NamedTuple):
    """A name that will not be there, and why."""

    wanted: Wanted
    why: str


def missing(file: Path, root: Path) -> list[Missing]:
    """The names that `file` wants and that a function whose code lies in `root` will not have, in order.

    Nothing is loaded and nothing imported. Raises OSError.
    """
    with file.open("rb") as stream:
        found = dict.fromkeys(wanted(stream))
    return [Missing(each, why) for each in found if (why := _absence(each, root))]


def wanted(stream: BinaryIO) -> Iterator[Wanted]:
    """The names that a pickle wants, in order, until its end or what is no pickle."""
    memo: dict[int, str] = {}
    last: tuple[str, str] = ("", "")  # the two newest values on the stack, "" for what is no string
    opcodes = itertools.islice(pickletools.genops(stream), _MAX_OPCODES)
    while True:
        try:
            opcode, argument, _ = next(opcodes)
        except (StopIteration, ValueError, IndexError, UnicodeDecodeError, OverflowError):
            return
        name = opcode.name
        if name == "GLOBAL":
            module, _, attribute = str(argument).partition(" ")
            yield Wanted(module, attribute)
            last = (last[1], "")
        elif name == "STACK_GLOBAL":
            yield Wanted(*last)
            last = ("", "")
        elif name == "MEMOIZE":
            memo[len(memo)] = last[1]
        elif name in _MEMO_WRITES:
            memo[_index(argument)] = last[1]
        elif name in _MEMO_READS:
            last = (last[1], memo.get(_index(argument), ""))
        elif opcode.stack_after:
            last = (last[1], str(argument) if name in _STRINGS else "")


def _index(argument: object) -> int:
    return argument if isinstance(argument, int) else 0


def _absence(each: Wanted, root: Path) -> str:
    """Why a name will not be there, "" when it will be or nobody can tell without importing."""
    if each.module in _SCRIPT:
        return "the script that made the pickle defined it itself"
    if each.module in sys.builtin_module_names:
        return ""
    spec = _find(each.module, root)
    if spec is None:
        return f"there is no module {each.module} in the project or the environment"
    source = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    if source is None or not source.is_relative_to(root):
        return ""  # an installed package is taken at its word
    defined = _defined(source)
    top = each.name.partition(".")[0]
    return "" if defined is None or top in defined else f"{source.name} does not define it"


def _find(module: str, root: Path) -> ModuleSpec | None:
    """Where a module would come from, its parents not being imported."""
    places: list[str] | None = [str(root), *sys.path]
    spec = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:depth]), places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    return spec


def _defined(source: Path) -> set[str] | None:
    """The names that a module's text gives itself at its top; None when it cannot be told."""
    try:
        if source.stat().st_size > _MAX_SOURCE_BYTES:
            return None
        tree = ast.parse(source.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if any(alias.name == "*" for alias in node.names):
                return None
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names
