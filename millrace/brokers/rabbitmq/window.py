"""How many more messages the broker would send before it is told that some are done."""

from __future__ import annotations

from collections.abc import Sequence


class Window:
    """The prefetch counts of a channel's consumers, and how much of them is used; 0 wide while nothing is sent.

    RabbitMQ counts a delivery against the consumer that it went to. What came before the present ones, or was fetched
    beside them, uses up nothing of their window.
    """

    def __init__(self) -> None:
        self.size = 0
        self._used = 0
        self._from = 1  # the first tag that the present consumers may have
        self._last = 0
        self._fetched: set[int] = set()

    @property
    def free(self) -> int:
        """How many more would come."""
        return self.size - self._used if self.size else 0

    def open(self, size: int) -> None:
        """The first consumer begins; all later tags are its own."""
        self.size = size
        self._used = 0
        self._from = self._last + 1
        self._fetched.clear()

    def grow(self, by: int) -> None:
        """Another consumer begins beside it."""
        self.size += by

    def shut(self) -> None:
        """Nothing is sent any more."""
        self.size = 0

    def came(self, tags: Sequence[int], *, fetched: bool) -> None:
        """These were delivered."""
        self._last = max(self._last, *tags)
        if fetched:
            self._fetched.update(tags)
        else:
            self._used += sum(1 for tag in tags if tag >= self._from) if tags[0] < self._from else len(tags)

    def went(self, tags: Sequence[int]) -> None:
        """The broker waits for these no more."""
        first, fetched = self._from, self._fetched
        if fetched:
            self._used -= sum(1 for tag in tags if tag >= first and tag not in fetched)
            fetched.difference_update(tags)
        else:
            self._used -= sum([tag >= first for tag in tags])
