"""Finds what `model:` or `handler:` names; when that fails, says what was tried, what there is, and what is nearest."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from millrace.errors import LoadError
from millrace.symbols import definitions, suggestion

_MAX_NAMES = 20


def resolve(target: str, root: str) -> Any:
    """The object behind a dotted path, with `root` first on sys.path.

    Raises LoadError when there is no such module or name; whatever the module itself raises while it is imported
    passes through, since that is the cause.
    """
    if root not in sys.path:
        sys.path.insert(0, root)
    parts = target.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise LoadError(f"{target!r} is not a dotted path", "expected module.Name, such as app.Classifier")
    tried: list[str] = []
    for cut in range(len(parts) - 1, 0, -1):
        module = _import(".".join(parts[:cut]), root, tried)
        if module is not None:
            return _descend(module, parts[cut:], target, root, tried)
    raise LoadError(
        f"cannot import {target}: {'; '.join(tried)}", _elsewhere(target, root) or _other_modules(parts[0], root)
    )


def version_of(module: str, *holders: object) -> str:
    """The function's version: `__version__` or `version` of one of `holders` or of its module, when it is a string.

    Else the first 12 hex digits of a BLAKE2 hash of the module's source file, so that an edit is a new version.
    """
    imported = sys.modules.get(module)
    for holder in (*holders, imported):
        for name in ("__version__", "version"):
            value = getattr(holder, name, None)
            if isinstance(value, str) and value:
                return value
    source = getattr(imported, "__file__", None)
    if source is None or not os.path.isfile(source):
        return ""
    return blake2b(Path(source).read_bytes(), digest_size=6).hexdigest()


def suggest(name: str, names: list[str], holder: str) -> str:
    """`did you mean X?` when one of `names` is near, and the names that `holder` has."""
    near = difflib.get_close_matches(name, names, n=1)
    shown = ", ".join(names[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")
    return (f"did you mean {near[0]}? " if near else "") + f"{holder} has {shown or 'nothing of its own'}"


def _import(name: str, root: str, tried: list[str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != name and not name.startswith(f"{missing}."):
            raise  # the module is there; something that it imports is not
        tried.append(f"no module {name} in {root} or the environment")
        return None


def _descend(module: ModuleType, names: list[str], target: str, root: str, tried: list[str]) -> Any:
    found: Any = module
    for name in names:
        if not hasattr(found, name):
            owner = getattr(found, "__name__", repr(found))
            attempts = "; ".join([*tried, f"{owner} has no {name}"])
            hint = _shadowed(module, root) or _elsewhere(target, root) or suggest(name, _names(found), owner)
            raise LoadError(f"cannot find {target}: {attempts}", hint)
        found = getattr(found, name)
    return found


def _elsewhere(target: str, root: str) -> str:
    """The dotted path under which the project has what a target means, as `api.app.main` for `app.main`."""
    return suggestion(target, Path(root)) if definitions(target.rpartition(".")[2], Path(root)) else ""


def _shadowed(module: ModuleType, root: str) -> str:
    """What to do when Python gave us its own module, because the user's has the same name."""
    own = Path(root, *module.__name__.split(".")).with_suffix(".py")
    loaded = getattr(module, "__file__", None)
    if not own.is_file() or (loaded is not None and own.samefile(loaded)):
        return ""
    return f"{own} has the name of a module that Python loaded from {loaded or 'itself'}: rename the file"


def _names(holder: object) -> list[str]:
    """What a module or class defines itself, not what it imported."""
    own = getattr(holder, "__name__", "")
    names = [name for name in vars(holder) if not name.startswith("_")]
    if isinstance(holder, ModuleType):
        names = [name for name in names if getattr(vars(holder)[name], "__module__", None) == own] or names
    return sorted(names)


def _other_modules(name: str, root: str) -> str:
    found = [path.stem for path in Path(root).glob("*.py")]
    found += [path.parent.name for path in Path(root).glob("*/__init__.py")]
    return suggest(name, sorted(found), root)
