"""Where a project's endpoint listens, for other processes of the same project: a file, believed once it answers.

The file is left behind by a crash, so who reads it asks the endpoint for the same word that the file has.
"""

from __future__ import annotations

import http.client
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

HEALTH = "/_millrace/health"
_FILE = "aws-endpoint.json"
_PATIENCE_S = 0.5


class Beacon(msgspec.Struct, frozen=True):
    """The endpoint's URL, and a word that it was given at its start."""

    url: str
    word: str


def new_word() -> str:
    """A word that no other endpoint has."""
    return secrets.token_hex(8)


def light(folder: Path, beacon: Beacon) -> None:
    """Leave word in the project's state folder. Raises OSError."""
    path = folder / _FILE
    fresh = path.with_name(f"{_FILE}.{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(beacon))
    fresh.replace(path)


def extinguish(folder: Path, beacon: Beacon) -> None:
    """Take back what `light` left, unless somebody else has lit since."""
    if _read(folder) == beacon:
        (folder / _FILE).unlink(missing_ok=True)


def find(folder: Path) -> str | None:
    """The URL of the endpoint that runs for this project now, None without one."""
    beacon = _read(folder)
    return beacon.url if beacon is not None and _answers(beacon) else None


def _read(folder: Path) -> Beacon | None:
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Beacon)
    except (OSError, msgspec.MsgspecError):
        return None


def _answers(beacon: Beacon) -> bool:
    parts = urlsplit(beacon.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", HEALTH)
        told = msgspec.json.decode(connection.getresponse().read(65_536), type=dict)
    except (OSError, ValueError, http.client.HTTPException, msgspec.MsgspecError):
        return False
    finally:
        connection.close()
    return bool(told.get("word") == beacon.word)
