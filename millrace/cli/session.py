"""A command's piece of work with the project's queues and stores open around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from millrace.cli.options import Choice

if TYPE_CHECKING:
    from millrace.app import Backend
    from millrace.config.schema import Project

T = TypeVar("T")


def with_backend(project: Project, work: Callable[[Backend], Awaitable[T]]) -> T:
    """What `work` gives for the project's backend, which is closed whatever happens."""
    return asyncio.run(_with_backend(project, work))


def with_queue(choice: Choice, queue: str, work: Callable[[Backend], Awaitable[T]]) -> T:
    """The same for a command that names a queue: an unknown one is refused before anything is opened."""
    from millrace.config.names import check_queue

    project = choice.load()
    check_queue(project, queue)
    return with_backend(project, work)


async def _with_backend(project: Project, work: Callable[[Backend], Awaitable[T]]) -> T:
    from millrace.app import open_backend

    backend = await open_backend(project)
    try:
        return await work(backend)
    finally:
        await backend.close()
