"""Tells people what goes on: the terminal, and the log of each function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from millrace.flow.replicas import ReplicaSet
from millrace.logbook import LogBook
from millrace.types import Failure
from millrace.wire import Line


class Witness:
    """Writes functions' lines into the logbook, passes them on, and announces when functions load or fail to."""

    def __init__(
        self, folder: Path, announce: Callable[[str], None], on_line: Callable[[str, Line], None] | None
    ) -> None:
        self.announce = announce
        self._logbook = LogBook(folder)
        self._on_line = on_line

    def writer(self, function: str) -> Callable[[Line], None]:
        """What a function's replicas tell their lines."""
        write, pass_on = self._logbook.writer(function), self._on_line
        if pass_on is None:
            return write

        def both(line: Line) -> None:
            write(line)
            pass_on(function, line)

        return both

    async def loading(self, function: str, replicas: ReplicaSet) -> None:
        """Announce each time that a function becomes able to work, or cannot be loaded, until cancelled."""
        while True:
            await replicas.until(lambda found: bool(found.ready) or _load_failure(found) is not None)
            if replicas.ready:
                self.announce(f"{function} is ready (version {replicas.version})")
                await replicas.until(lambda found: not found.ready and _load_failure(found) is not None)
            else:
                self.announce(f"{function} cannot run yet: why is in its log, and loading is tried again")
                await replicas.until(lambda found: bool(found.ready))

    def close(self) -> None:
        """Write what waits."""
        self._logbook.close()


def _load_failure(replicas: ReplicaSet) -> Failure | None:
    failed = (status.failure for status in replicas.status() if status.state == "failed")
    return next((failure for failure in failed if failure is not None), None)
