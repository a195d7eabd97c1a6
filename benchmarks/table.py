"""The table that `python -m benchmarks` prints, and its copies in docs/benchmarks.md, the README and one how-to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measured import MAIN, Figure
from benchmarks.page import ROOT, fill, part
from benchmarks.speeds import PART as BROKERS
from benchmarks.speeds import speeds

DOCS = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
CHOOSING = ROOT / "docs" / "how-to" / "choose-a-broker.md"


def cells(figure: Figure) -> tuple[str, str, str, str, str, str]:
    """name, median, spread, target, whether it is met, remark."""
    target = "" if figure.target is None else f"{figure.better} {number(figure.target, figure.unit)}"
    if figure.skipped:
        return figure.name, "-", "", target, "skipped", figure.skipped
    spread = f"{number(min(figure.values), figure.unit)} to {number(max(figure.values), figure.unit)}"
    met = {True: "yes", False: "NO", None: ""}[figure.met]
    return figure.name, number(figure.median, figure.unit), spread, target, met, figure.remark


def number(value: float, unit: str) -> str:
    """Three digits that mean something, and the unit."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.995 or not value else 3
    text = f"{value:.{digits}f}" if abs(value) >= 0.01 or not value else f"{value:.1g}"
    return f"{text} {unit}".strip()


def show(figures: Iterable[Figure], machine: str) -> None:
    """Print the table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, caption=machine, caption_justify="left")
    for heading in ("figure", "median", "spread", "target", "met", "from"):
        table.add_column(heading, overflow="fold")
    for figure in figures:
        table.add_row(*cells(figure))
    Console(highlight=False).print(table)


def markdown(figures: Sequence[Figure], machine: str, date: str, before: str = "") -> str:
    """The table for the docs; rows of the one `before` that were not measured again stay."""
    rows = []
    for figure in figures:
        name, median, spread, target, met, remark = cells(figure)
        rows.append(f"| {name} | {figure.what}: {remark} | {median} | {spread} | {target} | {met} | {date} |")
    head = ["| figure | what | median | spread | target | met | on |", "|---|---|---|---|---|---|---|"]
    return f"{_table(head, rows, before)}\n\nMeasured on {machine}."


def short(figures: Sequence[Figure], machine: str, date: str, before: str = "") -> str:
    """The table for the README: what was held to a target, and how much it is."""
    rows = []
    for figure in figures:
        if figure.target is None:
            continue
        _, median, _, target, _, remark = cells(figure)
        said = remark if figure.skipped else f"{median} (missed)" if figure.met is False else f"**{median}**"
        rows.append(f"| {figure.what} | {said} | {target} |")
    table = _table(["| measured | median | target |", "|---|---|---|"], rows, before)
    return f"{table}\n\nMeasured on {machine}, last on {date}."


def _table(head: Sequence[str], rows: Sequence[str], before: str) -> str:
    """A row stands where the one of the same first cell stood, a new one at the end."""
    standing = {_first(line): line for line in before.splitlines() if line.startswith("| ") and line != head[0]}
    standing |= {_first(row): row for row in rows}
    return "\n".join([*head, *standing.values()])


def _first(row: str) -> str:
    return row.split(" | ")[0]


def write(
    figures: Sequence[Figure],
    machine: str,
    date: str,
    docs: Path = DOCS,
    readme: Path = README,
    choosing: Path = CHOOSING,
    *,
    whole: bool = True,
) -> None:
    """Put the tables between the pages' markers; with `whole` False other rows stay. Raises ValueError without them."""
    shorter = {MAIN: (readme, short), BROKERS: (choosing, speeds)}
    for part_name in dict.fromkeys(figure.part for figure in figures):
        some = [figure for figure in figures if figure.part == part_name]
        for page, table in ((docs, markdown), *([shorter[part_name]] if part_name in shorter else [])):
            before = "" if whole else part(page, part_name)
            fill(page, part_name, table(some, machine, date, before))
