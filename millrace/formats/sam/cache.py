"""The last translation of a project's template, kept in its state folder: the translator takes a second to start."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_STATE = ".millrace"
_FILE = "template.json"


def key_of(plain: dict[str, Any], values: Mapping[str, Any], region: str) -> str:
    """What a translation depends on, as one hash; empty where there is no translator to depend on."""
    try:
        translator = version("aws-sam-translator")
    except PackageNotFoundError:
        return ""
    said = json.dumps([translator, region, plain, dict(values)], sort_keys=True, default=str)
    return sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def kept(folder: Path, key: str) -> dict[str, Any] | None:
    """The translation that was kept under a key; None where there is none, or what is there is damaged."""
    try:
        found = json.loads((folder / _STATE / _FILE).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    if not key or not isinstance(found, dict) or found.get("key") != key:
        return None
    template = found.get("template")
    resources = template.get("Resources") if isinstance(template, dict) else None
    sound = isinstance(resources, dict) and all(isinstance(each, dict) for each in resources.values())
    return template if sound and isinstance(template, dict) else None


def keep(folder: Path, key: str, template: dict[str, Any]) -> None:
    """Keep a translation where the project has run before, for its owner alone: it may hold parameters' values."""
    if not key or not (folder / _STATE).is_dir():
        return
    part = folder / _STATE / f"{_FILE}.{os.getpid()}"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"key": key, "template": template}, stream, default=str)
        part.replace(folder / _STATE / _FILE)
    except (OSError, ValueError, RecursionError):
        part.unlink(missing_ok=True)
