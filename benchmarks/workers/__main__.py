"""python -m benchmarks.workers LIBRARY sample|produce|consume: one side of a measurement, in a process of its own."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from benchmarks.workers.seen import Seen, payload

LIBRARIES = {
    "bare": "bare",
    "celery": "by_celery",
    "dramatiq": "by_dramatiq",
    "faststream": "by_faststream",
    "millrace": "ours",
    "taskiq": "by_taskiq",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers")
    parser.add_argument("library", choices=list(LIBRARIES))
    parser.add_argument("doing", choices=["sample", "produce", "consume"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--queue", required=True)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second; 0 is as fast as it goes")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=NUMBER")
    given = parser.parse_args()
    library = importlib.import_module(f"benchmarks.workers.{LIBRARIES[given.library]}")
    match given.doing:
        case "sample":
            library.sample(given.url, given.queue, payload(0, given.size))
        case "produce":
            library.produce(given.url, given.queue, _paced(given.count, given.size, given.rate))
        case "consume":
            _consume(library, given)
    return 0


def _consume(library: Any, given: argparse.Namespace) -> None:
    seen = Seen(given.count)
    settings = {name: int(number) for name, _, number in (each.partition("=") for each in given.setting)}
    library.consume(given.url, given.queue, seen, settings)
    sys.stdout.write(msgspec.json.encode(seen.report()).decode() + "\n")


def _paced(count: int, size: int, rate_per_s: float) -> Iterator[str]:
    """Texts that say when they were sent, at a steady rate."""
    began = time.monotonic()
    for number in range(count):
        if rate_per_s and (ahead_s := number / rate_per_s - (time.monotonic() - began)) > 0:
            time.sleep(ahead_s)
        yield payload(number, size, time.time())


if __name__ == "__main__":
    sys.exit(main())
