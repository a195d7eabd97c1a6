"""Over the file: the project's own backend, opened in this process, beside any millrace that runs on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.types import Put, Record

if TYPE_CHECKING:
    from millrace.app import Backend
    from millrace.config.schema import Project


class LocalTransport:
    """A project's broker and results."""

    def __init__(self, project: Project, backend: Backend) -> None:
        self._project = project
        self._backend = backend

    @classmethod
    async def open(cls, path: Path, stage: str | None) -> LocalTransport:
        """Read the project file and open what it names; raises ConfigError and StorageError."""
        from millrace.app import open_backend
        from millrace.formats.load import load

        project = load(path, stage=stage)
        return cls(project, await open_backend(project))

    async def put(self, puts: Sequence[Put]) -> list[str]:
        from millrace.config.names import check_queue

        for queue in {put.queue for put in puts}:
            check_queue(self._project, queue)
        return [accepted.id for accepted in await self._backend.broker.put(puts)]

    async def record(self, id: str, wait_s: float = 0.0) -> Record | None:
        results = self._backend.results
        return await results.wait(id, wait_s) if wait_s else await results.get(id)

    async def close(self) -> None:
        await self._backend.close()
