"""python -m benchmarks [NAME...] [--quick] [--json] [--write]: measure, and print one table."""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import sys

import msgspec

from benchmarks.machine import describe
from benchmarks.measured import Figure
from benchmarks.rows import NAMES, row
from benchmarks.table import show, write


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure millrace; print one table.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"rows to measure, all without any: {', '.join(NAMES)}"
    )
    parser.add_argument("--quick", action="store_true", help="short runs, few repeats: for development, not for claims")
    parser.add_argument("--json", action="store_true", help="print one JSON array of objects")
    parser.add_argument("--write", action="store_true", help="also put it into docs/benchmarks.md and the README")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in NAMES]:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if given.write and given.quick:
        parser.error("--write wants rows at full length")
    return given


def main() -> int:
    given = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server is left behind
    figures: list[Figure] = []
    for name in given.names or NAMES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += row(name)(given.quick)
    machine = describe()
    if given.json:
        each = [{**msgspec.to_builtins(figure), "median": _median(figure), "met": figure.met} for figure in figures]
        print(json.dumps(each, indent=2))
    else:
        show(figures, machine)
    if given.write:
        write(figures, machine, datetime.date.today().isoformat(), whole=not given.names)
    return 0 if all(figure.met is not False for figure in figures) else 1


def _median(figure: Figure) -> float | None:
    return None if figure.skipped else figure.median


if __name__ == "__main__":
    sys.exit(main())
