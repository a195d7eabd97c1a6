"""The pickles of a project that want what will not be there: a warning for each, nothing being loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.config.faults import Fault
    from millrace.replica.pickles import Missing

_MOST_FILES = 200
_NEVER_INTO = {"node_modules", "__pycache__", "site-packages", ".git", ".aws-sam", ".serverless"}


def pickle_warnings(root: Path) -> Iterator[Fault]:
    """A warning for each pickle below the project's folder, local buckets included, with the names that are missing."""
    from millrace.config.faults import Fault, Place
    from millrace.replica.pickles import missing

    for file in islice(_pickles(root), _MOST_FILES):
        try:
            absent = missing(file, root)
        except OSError:
            continue  # whoever loads it will be told
        if absent:
            place = Place(os.path.relpath(file))
            yield Fault(place, "this pickle will not load", _remedy(absent), _shown(absent), severity="warning")


def _pickles(root: Path) -> Iterator[Path]:
    from millrace.replica.pickles import SUFFIXES

    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NEVER_INTO and not _is_environment(folder, name))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(SUFFIXES))


def _is_environment(folder: str, name: str) -> bool:
    return Path(folder, name, "pyvenv.cfg").is_file()


def _shown(absent: list[Missing]) -> str:
    return "; ".join(f"{each.wanted.module}.{each.wanted.name} ({each.why})" for each in absent)


def _remedy(absent: list[Missing]) -> str:
    if any(each.wanted.module in ("__main__", "__mp_main__") for each in absent):
        return (
            "names of modules that lie in the project: move what the script defines into a module, import it from "
            "there in the script, and pickle again"
        )
    return "names of modules that lie in the project or are installed where millrace runs"
