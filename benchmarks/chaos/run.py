"""One run: a fleet on one broker, posts at a steady rate, and one fault after the other."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

from benchmarks import mill
from benchmarks.chaos.audit import Audit
from benchmarks.chaos.brokers import KINDS, running
from benchmarks.chaos.faults import Scene, faults_of
from benchmarks.chaos.fleet import Fleet
from benchmarks.chaos.load import Load
from benchmarks.chaos.recovery import recovery_s
from benchmarks.chaos.survived import Struck, Survived
from tests.services.postgres import Postgres

WARM_S = 8.0  # of undisturbed flow, before the first fault
CALM_S = 12.0  # between a fault that is mended and the next
_PATIENCE_S = 120.0  # for what is left at the end


async def survive(
    name: str, rounds: int, rate_per_s: float, *, warm_s: float = WARM_S, calm_s: float = CALM_S
) -> Survived:
    """Put the fleet on one broker and strike it, after `warm_s` seconds, each time `calm_s` seconds later at least."""
    kind = KINDS[name]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(mill.scratch())
        database = stack.enter_context(Postgres()).start()
        server, proxy, url = stack.enter_context(running(kind))
        fleet = Fleet(folder, {"MILLRACE_BROKER": url, "MILLRACE_DATABASE": database})
        scene = Scene(fleet, server, proxy, kind.grip(server) if kind.grip else None)
        audit, load = Audit(database, "effects", "filed"), Load(fleet.urls, rate_per_s)
        try:
            await fleet.start()
            await audit.watch()
            faults = faults_of(scene) * rounds
            seconds = warm_s + len(faults) * calm_s
            sampling = asyncio.create_task(audit.sample())
            loading = asyncio.create_task(load.run(seconds))
            moments = await _strike(scene, rounds, warm_s, calm_s)
            await loading
            await audit.until(lambda done: done >= len(load.accepted), _PATIENCE_S)
            sampling.cancel()
            codes = await fleet.stop()
            struck = [
                Struck(name, recovery_s(audit.samples, at, rate_per_s, away_s=away_s), away_s)
                for name, at, away_s in moments
            ]
            counted = await audit.count(load.accepted, folder / "executions.log")
            return Survived(name, kind.settings, counted, struck, load.refusals, codes)
        finally:
            await fleet.kill()


async def _strike(scene: Scene, rounds: int, warm_s: float, calm_s: float) -> list[tuple[str, float, float]]:
    """One fault after the other; the moment of each, and for how long there was no broker."""
    await asyncio.sleep(warm_s)
    moments = []
    for fault in faults_of(scene) * rounds:
        print(f"  {fault.name} ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        await fault.strike(scene)
        took_s = time.monotonic() - began
        moments.append((fault.name, began, took_s if fault.no_broker else 0.0))
        await asyncio.sleep(max(0.0, calm_s - took_s))
    return moments
