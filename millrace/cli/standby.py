"""The AWS endpoint around one call of a function: the running project's, else one that starts when it is asked.

A function that calls no AWS does not pay for it: until the first connection there is a socket and nothing more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from millrace.cli.output import note
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.config.schema import Project

_HOST = "127.0.0.1"


@asynccontextmanager
async def endpoint_around(project: Project) -> AsyncIterator[dict[str, str] | None]:
    """The variables that lead an SDK to the project's endpoint while the block runs; None for one without `aws:`."""
    if project.aws is None:
        yield None
        return
    from millrace.aws.endpoint.beacon import find
    from millrace.aws.environment import endpoint_variables

    if url := await asyncio.to_thread(find, project.state):
        yield endpoint_variables(url, project.aws.keys)
        return
    async with AsyncExitStack() as stack:
        standby = Standby(project)
        stack.push_async_callback(standby.close)
        yield endpoint_variables(standby.url, project.aws.keys)


class Standby:
    """A port behind which the endpoint starts at the first connection."""

    def __init__(self, project: Project) -> None:
        self._project = project
        # The protocol is named, or asyncio would leave Nagle's algorithm on.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind((_HOST, 0))
        self._socket.listen()
        self._socket.setblocking(False)
        self._closing = AsyncExitStack()
        self._starting: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(self._socket, self._asked)

    @property
    def url(self) -> str:
        """Where an SDK finds it."""
        return f"http://{_HOST}:{self._socket.getsockname()[1]}"

    async def close(self) -> None:
        """End what was started, the port last."""
        if self._starting is None:
            asyncio.get_running_loop().remove_reader(self._socket)
        else:
            await self._starting
        await self._closing.aclose()
        self._socket.close()

    def _asked(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._starting = asyncio.create_task(self._start())

    async def _start(self) -> None:
        try:
            await self._serve()
        except MillraceError as error:
            note(f"no AWS endpoint: {error}")
            self._socket.close()  # whoever asks is refused at once instead of waiting

    async def _serve(self) -> None:
        from millrace.app import open_backend
        from millrace.app.endpoint import AwsEndpoint
        from millrace.app.tails import Tails
        from millrace.clock import SystemClock

        backend = await open_backend(self._project)
        self._closing.push_async_callback(backend.close)
        endpoint = AwsEndpoint(self._project, backend, Tails(), {}, SystemClock())
        self._closing.push_async_callback(endpoint.close)
        await endpoint.start([self._socket])
