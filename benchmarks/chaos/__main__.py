"""python -m benchmarks.chaos [BROKER...] [--rounds N] [--rate N] [--json] [--write]: a fleet under fire, one table.

For each broker: items are posted to two gateways at a steady rate, each until it is accepted; two workers run them
through two functions into two keyed tables in PostgreSQL. Meanwhile one fault strikes after the other. At the end the
database says what became of every item that was accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time

import msgspec

from benchmarks import mill
from benchmarks.chaos.audit import Audit
from benchmarks.chaos.brokers import KINDS, running
from benchmarks.chaos.faults import Scene, faults_of
from benchmarks.chaos.fleet import Fleet
from benchmarks.chaos.load import Load
from benchmarks.chaos.recovery import recovery_s
from benchmarks.chaos.report import show, write
from benchmarks.chaos.survived import Struck, Survived
from tests.services.postgres import Postgres

_WARM_S = 8.0  # of undisturbed flow, before the first fault
_CALM_S = 12.0  # between a fault that is mended and the next
_PATIENCE_S = 120.0  # for what is left at the end


async def survive(name: str, rounds: int, rate_per_s: float) -> Survived:
    """Put the fleet on one broker and strike it."""
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
            seconds = _WARM_S + len(faults) * _CALM_S
            sampling = asyncio.create_task(audit.sample())
            loading = asyncio.create_task(load.run(seconds))
            moments = await _strike(scene, rounds)
            await loading
            await audit.until(lambda done: done >= len(load.accepted), _PATIENCE_S)
            sampling.cancel()
            codes = await fleet.stop()
            struck = [Struck(fault, recovery_s(audit.samples, at)) for fault, at in moments]
            counted = await audit.count(load.accepted, folder / "executions.log")
            return Survived(name, kind.settings, counted, struck, load.refusals, codes)
        finally:
            await fleet.kill()


async def _strike(scene: Scene, rounds: int) -> list[tuple[str, float]]:
    """One fault after the other; the moment of each."""
    await asyncio.sleep(_WARM_S)
    moments = []
    for fault in faults_of(scene) * rounds:
        print(f"  {fault.name} ...", file=sys.stderr, flush=True)
        moments.append((fault.name, time.monotonic()))
        began = time.monotonic()
        await fault.strike(scene)
        await asyncio.sleep(max(0.0, _CALM_S - (time.monotonic() - began)))
    return moments


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description="A fleet under fire.")
    parser.add_argument("brokers", nargs="*", metavar="BROKER", help=f"all without any: {', '.join(KINDS)}")
    parser.add_argument("--rounds", type=int, default=2, help="how often each fault strikes")
    parser.add_argument("--rate", type=float, default=200.0, help="items a second")
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    parser.add_argument("--write", action="store_true", help="also put the table into docs/benchmarks.md")
    given = parser.parse_args()
    if unknown := [name for name in given.brokers if name not in KINDS]:
        parser.error(f"no broker {', '.join(unknown)}; there are {', '.join(KINDS)}")
    survived = []
    for name in given.brokers or KINDS:
        print(f"{name}:", file=sys.stderr, flush=True)
        survived.append(asyncio.run(survive(name, given.rounds, given.rate)))
        if not given.json:
            show(survived[-1:])
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(survived), indent=2).decode())
    elif len(survived) > 1:
        show(survived)
    if given.write:
        write(survived)
    return 0 if all(each.passed for each in survived) else 1


if __name__ == "__main__":
    sys.exit(main())
