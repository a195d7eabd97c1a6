"""The API keys of a project: those with a value in its file, and those that are made here once and kept."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from millrace.errors import StorageDamaged, StorageReadOnly

FILE = "api_keys.json"
_BYTES = 30  # 40 characters, as API Gateway's own


def api_keys(declared: Mapping[str, str | None], state: Path) -> dict[str, str]:
    """Every key's name and value; a key that is declared without one gets it in `state`, readable by its owner alone.

    Raises StorageReadOnly and StorageDamaged where that file cannot be written or read.
    """
    given = {name: value for name, value in declared.items() if value}
    missing = [name for name in declared if name not in given]
    return given | _kept(state / FILE, missing) if missing else given


def _kept(file: Path, names: list[str]) -> dict[str, str]:
    known = _read(file)
    fresh = {name: secrets.token_urlsafe(_BYTES) for name in names if name not in known}
    if fresh:
        known |= fresh
        _write(file, known)
    return {name: known[name] for name in names}


def _read(file: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, msgspec.DecodeError) as error:
        hint = "Mend the file, or remove it: new keys are made then."
        raise StorageDamaged(f"cannot read the API keys in {file}: {error}", hint) from None


def _write(file: Path, keys: Mapping[str, str]) -> None:
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(dict(keys)), indent=2))
        beside.replace(file)  # never half a file: a gateway beside this one may be reading it
    except OSError as error:
        hint = "Make the project's folder writable for this user, or give the keys values in the project file."
        raise StorageReadOnly(f"cannot write {file}: {error.strerror}", hint) from error
