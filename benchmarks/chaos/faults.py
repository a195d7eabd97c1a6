"""What is done to a fleet, one thing after the other: each fault is a coroutine that returns when it is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from benchmarks.chaos.fleet import LEASE_S, Fleet
from tests.services.proxy import Proxy

_DOWN_S = 1.0  # how long what was killed stays away
_ALARM_S = 3.0
_PAUSE_S = 2 * LEASE_S


class Grip(Protocol):
    """What can be done to a broker beyond killing it: an alarm or a full disk, until `calm`."""

    def alarm(self) -> None: ...
    def calm(self) -> None: ...


class Mortal(Protocol):
    """A server of tests.services, as far as it is killed here."""

    def kill(self) -> None: ...
    def restart(self) -> None: ...


class Scene(msgspec.Struct, frozen=True):
    """All that a fault can touch; without a broker of its own process `server` and `proxy` are None."""

    fleet: Fleet
    server: Mortal | None = None
    proxy: Proxy | None = None
    grip: Grip | None = None


class Fault(msgspec.Struct, frozen=True):
    """A fault by the name that the report gives it; `strike` returns when it is mended.

    With `no_broker` there is no broker until then.
    """

    name: str
    strike: Callable[[Scene], Awaitable[None]]
    no_broker: bool = False


async def kill_worker(scene: Scene) -> None:
    worker = scene.fleet.any_worker()
    await worker.kill()
    await asyncio.sleep(_DOWN_S)
    await worker.start()


async def kill_gateway(scene: Scene) -> None:
    gateway = scene.fleet.any_gateway()
    await gateway.kill()
    await asyncio.sleep(_DOWN_S)
    await gateway.start()


async def cut_connections(scene: Scene) -> None:
    assert scene.proxy is not None
    await asyncio.to_thread(scene.proxy.cut)


async def kill_broker(scene: Scene) -> None:
    assert scene.server is not None
    await asyncio.to_thread(scene.server.kill)
    await asyncio.to_thread(scene.server.restart)


async def raise_alarm(scene: Scene) -> None:
    assert scene.grip is not None
    await asyncio.to_thread(scene.grip.alarm)
    try:
        await asyncio.sleep(_ALARM_S)
    finally:
        await asyncio.to_thread(scene.grip.calm)


async def pause_worker(scene: Scene) -> None:
    worker = scene.fleet.any_worker()
    worker.pause()
    try:
        await asyncio.sleep(_PAUSE_S)
    finally:
        worker.resume()


def faults_of(scene: Scene) -> list[Fault]:
    """Those that this scene allows, in the order in which they strike."""
    found = [
        Fault("worker killed", kill_worker),
        Fault("gateway killed", kill_gateway),
        Fault("worker paused beyond its lease", pause_worker),
    ]
    if scene.proxy is not None:
        found.append(Fault("connections cut", cut_connections))
    if scene.server is not None:
        found.append(Fault("broker killed", kill_broker, no_broker=True))
    if scene.grip is not None:
        found.append(Fault("broker's alarm", raise_alarm))
    return found
