"""uvicorn inside our own event loop: it listens, drains and closes when told, and handles no signals itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import psutil
import uvicorn
from starlette.types import ASGIApp

from millrace.errors import InUse, MillraceError

_BACKLOG = 2048
_KEEP_ALIVE_S = 30
_MAX_CONNECTIONS = 10_000
_MIN_DRAIN_S = 0.01  # with less, uvicorn complains of time running out though nothing was left to do


class Server:
    """An ASGI application on a port: start → drain or close.

    `options` names where a person sets the host and the port, for errors: `gateway` has --host and --port too.
    """

    def __init__(self, app: ASGIApp, *, options: str = "gateway") -> None:
        self._options = _Options(options)
        self._uvicorn = _Uvicorn(_config(app))
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port that was bound (0 takes a free one).

        Raises InUse when somebody holds the port, MillraceError when the address cannot be listened on.
        """
        sockets = _bind(host, port, self._options)
        await self.serve(sockets)
        bound: int = sockets[0].getsockname()[1]
        return bound

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Answer on sockets that listen already."""
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=sockets), name="millrace-gateway")
        started = asyncio.create_task(self._uvicorn.listening.wait())
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            started.cancel()
            self._task.result()

    async def drain(self, timeout_s: float) -> None:
        """Finish the requests in flight, then leave the port; those left after timeout_s are answered 503.

        Whoever comes meanwhile is still heard: the application refuses him with 503 where a closed port would say less.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        if in_flight := list(self._uvicorn.server_state.tasks):
            await asyncio.wait(in_flight, timeout=timeout_s)
        await self._stop(max(0.0, end - loop.time()))

    async def close(self) -> None:
        """Stop now: requests in flight are answered 503."""
        await self._stop(0.0)

    async def _stop(self, timeout_s: float) -> None:
        if self._task is None:
            return
        self._uvicorn.stop(timeout_s)
        await self._task
        # What did not finish in time was cancelled, and now writes its last word.
        await asyncio.gather(*self._uvicorn.server_state.tasks, return_exceptions=True)
        self._task = None


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, less its signal handlers, with an event where it has only a flag."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def stop(self, timeout_s: float) -> None:
        # uvicorn looks at should_exit ten times a second; the port is given back at once.
        for server in self.servers:
            server.close()
        self.config.timeout_graceful_shutdown = max(timeout_s, _MIN_DRAIN_S)  # type: ignore[assignment]
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",  # told by looking at the application, it would have to be a coroutine function
        http=_protocol(),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # The gateway's peers are its clients: what they say of other addresses is not to be believed.
        proxy_headers=False,
        backlog=_BACKLOG,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )


def _protocol() -> type[asyncio.Protocol] | str:
    """The fast protocol where httptools is installed, else uvicorn's own in pure Python."""
    try:
        from millrace.sources.http.protocol import Protocol
    except ImportError:
        return "h11"
    return Protocol


class _Options:
    """How a person chooses another address."""

    def __init__(self, section: str) -> None:
        gateway = section == "gateway"
        self.port = f"{'--port or ' if gateway else ''}{section}.port"
        self.host = f"{'--host or ' if gateway else ''}{section}.host"

    @property
    def elsewhere(self) -> str:
        return f"Choose an address of this machine with {self.host}, such as 127.0.0.1."


_GATEWAY = _Options("gateway")


def _bind(host: str, port: int, options: _Options = _GATEWAY) -> list[socket.socket]:
    """Sockets on every address of the host, all on one port."""
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    try:
        addresses = _addresses(host, port)
    except OSError as error:
        raise MillraceError(f"{host!r} is no address of this machine: {error.strerror}.", options.elsewhere) from None
    for family, address in addresses:
        chosen = sockets[0].getsockname()[1] if sockets else port
        try:
            sockets.append(_listening(family, (address, chosen)))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                _close(sockets)
                raise _explained(error, host, port, options) from None
            refused = error
    if not sockets:
        raise _explained(refused, host, port, options) from None
    return sockets


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _listening(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named: without, each answer would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        # Listening here and not in uvicorn: two who bind at once with SO_REUSEADDR are told apart only by listen.
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _close(sockets: list[socket.socket]) -> None:
    for listener in sockets:
        listener.close()


def _explained(error: OSError | None, host: str, port: int, options: _Options) -> MillraceError:
    if error is not None and error.errno == errno.EADDRINUSE:
        return InUse(
            f"Port {port} of {host} is taken by {_holder(port)}.",
            f"Stop that, or choose another port with {options.port} (0 takes a free one).",
        )
    if error is not None and error.errno == errno.EACCES:
        return MillraceError(
            f"This user may not listen on port {port}.", f"Choose a port from 1024 with {options.port}."
        )
    why = error.strerror if error else "it has no address"
    return MillraceError(f"Cannot listen on {host}: {why}.", options.elsewhere)


def _holder(port: int) -> str:
    """Who listens on a port, by name and process id: command lines may hold secrets."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another program, whose name this user may not see"
