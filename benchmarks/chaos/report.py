"""The table of a run under fire, printed and in docs/benchmarks.md."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.chaos.survived import Struck, Survived
from benchmarks.machine import describe
from benchmarks.page import ROOT, fill

DOCS = ROOT / "docs" / "benchmarks.md"
_COLUMNS = (
    "broker",
    "accepted",
    "done",
    "lost",
    "executed twice",
    "effects twice",
    "faults",
    "slowest recovery",
    "met",
)


def cells(survived: Survived) -> tuple[str, ...]:
    """A row."""
    counted = survived.counted
    counts = (counted.accepted, counted.done, counted.lost, counted.executed_twice, counted.effects_twice)
    return (
        survived.broker,
        *(f"{count:,}" for count in counts),
        str(len(survived.struck)),
        seconds(survived.slowest_s),
        "yes" if survived.passed else "NO",
    )


def seconds(value: float | None) -> str:
    """A recovery in words."""
    return "did not come back" if value is None else f"{value:.1f} s"


def recovery(struck: Struck) -> str:
    """The recovery from one fault, and how much of it was the broker's own start."""
    away = f" ({struck.away_s:.1f} s of them without a broker)" if struck.away_s and struck.recovery_s else ""
    return f"{seconds(struck.recovery_s)}{away}"


def show(all_survived: Sequence[Survived]) -> None:
    """Print the table, and each fault's recovery below it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in _COLUMNS:
        table.add_column(heading, overflow="fold")
    for survived in all_survived:
        table.add_row(*cells(survived))
    console = Console(highlight=False)
    console.print(table)
    for survived in all_survived:
        again = ", ".join(f"{count} after {why}" for why, count in survived.refusals.items()) or "none"
        console.print(f"{survived.broker} ({survived.settings}); posts that were repeated: {again}")
        for struck in survived.struck:
            console.print(f"  {struck.fault}: {recovery(struck)}")
        if any(survived.exit_codes):
            console.print(f"  exit codes at the end: {survived.exit_codes}")


def markdown(all_survived: Sequence[Survived], machine: str, date: str) -> str:
    """The tables for the docs: what became of everything, and each fault's recoveries."""
    head = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    rows = [f"| {' | '.join(cells(survived))} |" for survived in all_survived]
    names = list(dict.fromkeys(struck.fault for survived in all_survived for struck in survived.struck))
    faults = [f"| broker, settings | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for survived in all_survived:
        times = (_times(survived, name) for name in names)
        faults.append(f"| {survived.broker}: {survived.settings} | {' | '.join(times)} |")
    return "\n".join([*head, *rows, "", *faults, "", f"Measured on {machine}, {date}."])


def _times(survived: Survived, fault: str) -> str:
    return ", ".join(recovery(each) for each in survived.struck if each.fault == fault) or "-"


def write(all_survived: Sequence[Survived], docs: Path = DOCS) -> None:
    """Put the tables between the page's markers. Raises ValueError where they are not."""
    fill(docs, "chaos", markdown(all_survived, describe(), datetime.date.today().isoformat()))
