"""The table that `python -m benchmarks` prints, and its copies in docs/benchmarks.md and the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measured import Figure
from benchmarks.page import ROOT, fill

DOCS = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"


def cells(figure: Figure) -> tuple[str, str, str, str, str, str]:
    """name, median, spread, target, whether it is met, remark."""
    target = f"{figure.better} {number(figure.target, figure.unit)}"
    if figure.skipped:
        return figure.name, "-", "", target, "skipped", figure.skipped
    spread = f"{number(min(figure.values), figure.unit)} to {number(max(figure.values), figure.unit)}"
    met = "yes" if figure.met else "NO"
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


def markdown(figures: Sequence[Figure], machine: str, date: str) -> str:
    """The table for the docs."""
    lines = ["| figure | what | median | spread | target | met |", "|---|---|---|---|---|---|"]
    for figure in figures:
        name, median, spread, target, met, remark = cells(figure)
        lines.append(f"| {name} | {figure.what}: {remark} | {median} | {spread} | {target} | {met} |")
    return "\n".join([*lines, "", f"Measured on {machine}, {date}."])


def short(figures: Sequence[Figure], machine: str, date: str) -> str:
    """The table for the README: what, how much, and what it was held to."""
    lines = ["| measured | median | target |", "|---|---|---|"]
    for figure in figures:
        _, median, _, target, _, remark = cells(figure)
        said = remark if figure.skipped else f"**{median}**" if figure.met else f"{median} (missed)"
        lines.append(f"| {figure.what} | {said} | {target} |")
    return "\n".join([*lines, "", f"Measured on {machine}, {date}."])


def write(figures: Sequence[Figure], machine: str, date: str, docs: Path = DOCS, readme: Path = README) -> None:
    """Put the tables between the pages' markers. Raises ValueError for a page that has none."""
    fill(docs, "measured", markdown(figures, machine, date))
    fill(readme, "measured", short(figures, machine, date))
