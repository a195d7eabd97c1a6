"""python -m benchmarks.soak: 100,000 messages, a replica killed every 2 s, one in a hundred poison. A few minutes.

Afterwards every message is looked up: the good ones must be done once, the poison dead for its own reason.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter

import msgspec

from benchmarks import mill
from benchmarks.rows.faults import KILL_EVERY_S, Tally, count_rows, under_fire
from millrace.broker import dead_letters

BATCH = 100
LIMIT_S = 600.0
FUNCTION = {"batch": {"size": BATCH, "wait": "20ms"}, "replicas": 2, "retry": {"base": "100ms", "max": "2s"}}


class Soaked(msgspec.Struct, frozen=True):
    """What became of everything."""

    accepted: int
    poison: int
    done: int
    dead: int
    lost: int
    duplicates: int
    wrongly_dead: int
    kills: int
    seconds: float
    messages_per_s: float

    @property
    def passed(self) -> bool:
        return not (self.lost or self.duplicates or self.wrongly_dead) and self.dead == self.poison


async def soak(count: int) -> Soaked:
    """Run it; raises TimeoutError after LIMIT_S."""
    with mill.scratch() as folder:
        mill.write_project(folder, "noop.Poisonable", FUNCTION, {"max_receives": 3})
        async with asyncio.timeout(LIMIT_S), mill.opened(folder) as backend:
            tally = Tally()
            began = time.monotonic()
            async with mill.up(folder) as server:
                work = mill.messages([body(index) for index in range(count)])
                await under_fire(server, _feed(backend, work), tally)
            seconds = time.monotonic() - began
            return await _count(backend, work, tally.kills, seconds)


def body(index: int) -> bytes:
    """200 bytes; each hundredth message is poison."""
    return (b"poison %d " % index if index % 100 == 50 else b"message %d " % index).ljust(200, b".")


async def _feed(backend: mill.Backend, work: list[mill.Message]) -> float:
    """Put by 100, with no more than 10,000 unanswered, so that the kills meet a flow and not only a backlog."""
    for start in range(0, len(work), mill.PUT_AT_ONCE):
        await mill.put_all(backend, work[start : start + mill.PUT_AT_ONCE])
        if start >= 10_000:
            await mill.finished(backend, work[start - 10_000].id)
    for message in reversed(work):
        await mill.finished(backend, message.id)
    return 0.0


async def _count(backend: mill.Backend, work: list[mill.Message], kills: int, seconds: float) -> Soaked:
    records = [await backend.results.get(message.id) for message in work]
    states = Counter(record.state if record else "unknown" for record in records)
    letters = await backend.broker.peek(dead_letters(mill.QUEUE), limit=len(work))
    poison = {message.id for message in work if message.body.startswith(b"poison")}
    rows = await count_rows(backend)
    dead = [letter.message.id for letter in letters]
    return Soaked(
        accepted=len(work),
        poison=len(poison),
        done=states["done"],
        dead=len(set(dead)),
        lost=len(work) - states["done"] - states["dead"] + max(0, states["done"] - rows),
        duplicates=max(0, rows - states["done"]) + len(dead) - len(set(dead)),
        wrongly_dead=len(set(dead) ^ poison),
        kills=kills,
        seconds=round(seconds, 1),
        messages_per_s=round(len(work) / seconds, 1),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="messages (default 100000)")
    parser.add_argument("--json", action="store_true", help="print one JSON array of objects")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server is left behind
    print(f"{given.count:,} messages, a replica killed every {KILL_EVERY_S:g} s ...", file=sys.stderr, flush=True)
    soaked = asyncio.run(soak(given.count))
    fields = msgspec.to_builtins(soaked)
    print(json.dumps([fields]) if given.json else "\n".join(f"{name:16}{value:>12,}" for name, value in fields.items()))
    print("passed" if soaked.passed else "FAILED", file=sys.stderr)
    return 0 if soaked.passed else 1


if __name__ == "__main__":
    sys.exit(main())
