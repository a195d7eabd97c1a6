"""How far the demo is, on standard error: a line for each step, a bar while files are posted."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress:
    """A Stage for the terminal; without a terminal only the lines are printed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description:9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._accepted = self._bars.add_task("accepted", total=None, visible=False)
        self._answered = self._bars.add_task("answered", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a step above the bars."""
        self._console.print(text, markup=False, soft_wrap=True)

    def progress(self, accepted: int, answered: int, total: int) -> None:
        """Move the bars."""
        self._bars.update(self._accepted, completed=accepted, total=total, visible=True)
        self._bars.update(self._answered, completed=answered, total=total, visible=True)
