"""The table that `python -m benchmarks` prints, and its copy in docs/benchmarks.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measured import Figure

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"


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


def write(figures: Sequence[Figure], machine: str, date: str, path: Path = DOCS) -> None:
    """Put the table between the page's markers. Raises ValueError when it has none."""
    page = path.read_text()
    block = f"{_BEGIN}\n{markdown(figures, machine, date)}\n{_END}"
    changed, count = re.subn(f"{_BEGIN}.*?{_END}", lambda _: block, page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{path} must have {_BEGIN} and {_END} once, has them {count} times")
    path.write_text(changed)
