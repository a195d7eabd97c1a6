"""Where a name is defined in a folder of Python files, found by parsing and never by importing.

So that a dotted path which leads nowhere is answered with the one that would: `app.resize` with `api.app.resize`.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_MAX_FILES = 2_000
_MAX_BYTES = 2_000_000
_SKIPPED = {"node_modules", "site-packages", "__pycache__"}


class Definition(NamedTuple):
    """A name of a module: its dotted path from the folder, and where it is defined."""

    path: str
    file: str  # relative to the folder
    line: int

    def __str__(self) -> str:
        return f"{self.path} ({self.file}:{self.line})"


def definitions(name: str, root: Path) -> list[Definition]:
    """Every module below `root` that defines a name at its top (what it imports is not its own), nearest first."""
    wanted = name.encode()
    found = []
    for file in _files(root):
        module = module_of(file, root)
        content = _content(file)
        if module and wanted in content and (line := _names(content).get(name, 0)) > 0:
            found.append(Definition(f"{module}.{name}", str(file.relative_to(root)), line))
    return sorted(found, key=lambda each: (each.path.count("."), each.path))


def suggestion(target: str, root: Path) -> str:
    """What to write in the place of a dotted path that leads nowhere; empty where nothing like it is defined.

    `did you mean api.app.resize (api/app.py:12)?`, with others of that name behind it.
    """
    module, _, name = target.rpartition(".")
    found = definitions(name, root)
    if not found:
        file = file_of(module, root)
        near = difflib.get_close_matches(name, _names(_content(file)), 1) if file is not None else []
        return f"did you mean {module}.{near[0]}?" if near else ""
    likest = difflib.get_close_matches(target, [each.path for each in found], 1, 0.0)
    first = next((each for each in found if each.path in likest), found[0])
    others = [each for each in found if each is not first][:3]
    also = f"; or {', '.join(map(str, others))}" if others else ""
    return f"did you mean {first}{also}?"


def problem(target: str, root: Path) -> str:
    """Why a dotted path cannot lead to anything, as far as that can be said without importing; empty where it may.

    A module that is not in the folder may be installed, and a name that no line defines may be made when the module is
    imported: only what is certain is a problem.
    """
    module, _, name = target.rpartition(".")
    if not module:
        return f"{target} names no module"
    file = file_of(module, root)
    if file is not None:
        return _missing(name, file, module, root)
    head = module.partition(".")[0]
    if not _is_package(root / head) and (root / f"{head}.py").is_file():
        return f"{head}.py is a module and has no {module.partition('.')[2]}"
    if (root / head).is_dir():
        # What is no module may be a class: api.app.Service.run.
        holder = file_of(module.rpartition(".")[0], root)
        if holder is not None and not _missing(module.rpartition(".")[2], holder, module, root):
            return ""
        return f"there is no module {module} in {root}"
    return "" if _is_installed(head) else f"there is no module {module} in {root} or the environment"


def file_of(module: str, root: Path) -> Path | None:
    """The file of a module below a folder, None where there is none."""
    if not module or "/" in module or not all(parts := module.split(".")):
        return None
    below = root.joinpath(*parts)
    return next((file for file in (below / "__init__.py", below.with_name(f"{below.name}.py")) if file.is_file()), None)


def module_of(file: Path, root: Path) -> str:
    """The dotted name under which a file below a folder is imported, empty where it cannot be."""
    parts = list(file.relative_to(root).with_suffix("").parts)
    if parts and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else ""


def _missing(name: str, file: Path, module: str, root: Path) -> str:
    content = _content(file)
    names = _names(content)
    is_submodule = file.name == "__init__.py" and file_of(f"{module}.{name}", root) is not None
    made_later = any(word in content for word in (b"import *", b"__getattr__", b"globals()"))
    if not names or name in names or is_submodule or made_later:
        return ""
    return f"{file.relative_to(root)} has no {name}"


def _files(root: Path) -> Iterator[Path]:
    count = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not os.path.isfile(os.path.join(folder, name, "pyvenv.cfg"))
        )
        for name in sorted(files):
            if name.endswith(".py"):
                count += 1
                if count > _MAX_FILES:
                    return
                yield Path(folder, name)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.stat().st_size <= _MAX_BYTES else b""
    except OSError:
        return b""


@lru_cache(64)
def _names(content: bytes) -> dict[str, int]:
    """The names at a module's top with their lines, 0 for what it imports; none where the text does not parse."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, int] = {}
    for statement in _top(tree.body):
        for name in _defined(statement):
            found.setdefault(name, 0 if isinstance(statement, ast.Import | ast.ImportFrom) else statement.lineno)
    return found


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """A module's statements, those inside its ifs, tries and withs too."""
    for statement in body:
        yield statement
        for part in ("body", "orelse", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
                yield from _top(getattr(statement, part, []))
        for handler in getattr(statement, "handlers", []):
            yield from _top(handler.body)


def _defined(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield statement.name
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)


def _is_package(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("*.py"))


def _is_installed(head: str) -> bool:
    try:
        return importlib.util.find_spec(head) is not None
    except (ImportError, ValueError):
        return False
