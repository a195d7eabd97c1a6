"""One figure: what was measured, each repeat's value, and the target it is held to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import msgspec

Better = Literal["at least", "at most"]
MAIN = "measured"  # the table that the README has too
T = TypeVar("T")


class Figure(msgspec.Struct, frozen=True):
    """A row of a table; `values` has one value a repeat, in `unit` ("" for a ratio); `remark` gives the rates.

    Without a target it is held to nothing. `part` is the table of docs/benchmarks.md in which it stands.
    """

    name: str
    what: str
    values: Sequence[float]
    better: Better
    target: float | None
    unit: str = ""
    remark: str = ""
    skipped: str = ""
    part: str = MAIN

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None when it was not measured, or has no target."""
        if self.skipped or self.target is None:
            return None
        return self.median >= self.target if self.better == "at least" else self.median <= self.target


def skipped(name: str, what: str, better: Better, target: float | None, why: str, part: str = MAIN) -> Figure:
    """A figure that this machine cannot give."""
    return Figure(name, what, (), better, target, skipped=why, part=part)


def alternate(
    repeats: int, ours: Callable[[], float], theirs: Callable[[], float]
) -> tuple[list[float], list[float], list[float]]:
    """Run both by turns, so that a machine that slows down slows both; ratios, ours, theirs."""
    pairs = []
    for turn in range(repeats):
        if turn % 2:
            second = theirs()
            pairs.append((ours(), second))
        else:
            first = ours()
            pairs.append((first, theirs()))
    mine, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return [a / b for a, b in pairs], mine, other


def by_turns(repeats: int, sides: Iterable[str], run: Callable[[str], T]) -> dict[str, list[T]]:
    """Every side once a repeat, each repeat beginning with another one."""
    names = list(sides)
    runs: dict[str, list[T]] = {name: [] for name in names}
    for repeat in range(repeats):
        start = repeat % len(names)
        for name in [*names[start:], *names[:start]]:
            runs[name].append(run(name))
    return runs


def per_s(rates: Sequence[float]) -> str:
    """The median of rates for a remark."""
    return f"{statistics.median(rates):,.0f}/s"
