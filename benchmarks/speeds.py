"""The speeds of brokers in one small table, for the page on choosing one."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measured import Figure

PART = "brokers"  # of docs/benchmarks.md and of the page
MEASURES = {  # what a figure's name ends with: what it says, and its unit
    "put": ("one client that puts a hundred at once", "messages/s"),
    "drained": ("a backlog drained by one worker", "messages/s"),
    "p50": ("from a put to its durable answer, the median", "ms"),
    "p99": ("from a put to its durable answer, 99 of 100", "ms"),
}


def speeds(figures: Sequence[Figure], machine: str, date: str, before: str = "") -> str:
    """A line a broker, a column a measure; nothing of `before` stays, since all brokers are measured together."""
    brokers = list(dict.fromkeys(figure.name.rpartition(": ")[0] for figure in figures))
    by_name = {figure.name: figure for figure in figures}
    head = ["", *(f"{what}, {unit}" for what, unit in MEASURES.values())]
    rows = [head, ["---", *("---:" for _ in MEASURES)]]
    for broker in brokers:
        rows.append([broker, *(_cell(by_name[f"{broker}: {measure}"]) for measure in MEASURES)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table}\n\nMeasured on {machine}, {date}."


def _cell(figure: Figure) -> str:
    if figure.skipped:
        return figure.skipped
    return f"{figure.median:,.1f}" if figure.unit == "ms" else f"{figure.median:,.0f}"
