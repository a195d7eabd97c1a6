"""python -m benchmarks.chaos [BROKER...] [--rounds N] [--rate N] [--json] [--write]: a fleet under fire, one table.

For each broker: items are posted to two gateways at a steady rate, each until it is accepted; two workers run them
through two functions into two keyed tables in PostgreSQL. Meanwhile one fault strikes after the other. At the end the
database says what became of every item that was accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import msgspec

from benchmarks.chaos.brokers import KINDS
from benchmarks.chaos.report import show, write
from benchmarks.chaos.run import survive


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
