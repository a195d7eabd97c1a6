"""A job that runs each night: a plain function of (event, context), as AWS Lambda has it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any


def take_stock(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Count files and bytes below FOLDER, by suffix; `event["time"]` is the moment for which the job was due.

    The result names its own row: the day. A second run for the same day replaces the row and adds none.
    """
    folder = Path(os.environ.get("FOLDER", ".")).resolve()
    files = [path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder)]
    print(f"{folder}: {len(files)} files")  # printed lines are in `millrace logs take_stock`
    return {
        "id": event["time"][:10],
        "folder": str(folder),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "by_suffix": dict(Counter(path.suffix or "none" for path in files).most_common()),
    }


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
