"""A process that writes to a queue until it is killed; run by test_storage.py.

`python writer.py put FOLDER` prints the number of each put after it was accepted; `python writer.py settle FOLDER`
prints each id after its settle; `python writer.py keyed FOLDER` prints the number of each message, its dedupe key, and
its place after it was settled; `python writer.py count FOLDER N` puts N messages and takes N in turn.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from millrace.broker import Queue
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.testing.bench import outcome
from millrace.types import Commit, Message, Put


def say(what: object) -> None:
    print(what, flush=True)


async def put(broker: SqliteBroker) -> None:
    number = 0
    while True:
        accepted = await broker.put([Put("q", Message(f"{number}.{part}", b"x" * 300)) for part in range(3)])
        assert not any(answer.duplicate for answer in accepted)
        say(number)
        number += 1


async def settle(broker: SqliteBroker) -> None:
    while True:
        for lease in await broker.take("q", 1):
            out = Put("out", Message(f"{lease.message.id}.out"))
            await broker.settle(Commit("q", [outcome(lease, puts=(out,))]))
            say(lease.message.id)


async def keyed(broker: SqliteBroker) -> None:
    number = 0
    while True:
        (accepted,) = await broker.put([Put("q", Message(f"m{number}"), dedupe=str(number))])
        assert not accepted.duplicate
        await broker.settle(Commit("q", [outcome(lease) for lease in await broker.take("q", 1)]))
        say(f"{number}:{accepted.sequence}")
        number += 1


async def count(broker: SqliteBroker, number: int) -> None:
    taken = 0
    for index in range(number):
        await broker.put([Put("q", Message(f"{sys.argv[4]}.{index}"))])
        leases = await broker.take("q", 1)
        taken += len(leases)
        await broker.settle(Commit("q", [outcome(lease) for lease in leases]))
    say(taken)


async def main() -> None:
    broker = SqliteBroker(Database.open(Path(sys.argv[2]) / "test.db"))
    await broker.declare([Queue("q"), Queue("out")])
    say("ready")
    verbs = {"put": put, "settle": settle, "keyed": keyed, "count": lambda broker: count(broker, int(sys.argv[3]))}
    await verbs[sys.argv[1]](broker)


asyncio.run(main())
