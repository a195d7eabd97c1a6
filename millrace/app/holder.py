"""Who runs a project's folder: a file lock that ends with its process, and says who holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from millrace.errors import InUse, StorageReadOnly


class Holder:
    """Holds a folder for one `millrace up` at a time; gateways, workers and clients may share it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "up.lock"
        self._descriptor: int | None = None

    def __enter__(self) -> Holder:
        """Take the lock. Raises InUse naming the process that holds it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageReadOnly(
                f"cannot write {self._path}: {error.strerror}", "Make the project's folder writable for this user."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise InUse(
                f"another millrace runs in {self._path.parent.parent} (process {pid})",
                f"Stop it with `kill {pid}`, or use `millrace worker` to add workers to it.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
