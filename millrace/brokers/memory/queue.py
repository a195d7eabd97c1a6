"""One queue in memory: its messages by id, and two heaps that know which of them is next."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence, Set

from millrace.broker import Queue
from millrace.brokers.memory.item import NOBODYS, Item
from millrace.types import Accepted

MOST_REMEMBERED = 10_000  # ids: memory must stay flat, whatever passes through in a day


class MemoryQueue:
    """Messages in order. The heaps may hold entries that are out of date; what counts is what the item says."""

    def __init__(self, settings: Queue) -> None:
        self.settings = settings
        self.items: dict[str, Item] = {}
        self._ready: list[tuple[int, str]] = []  # seq, id
        self._later: list[tuple[float, int, str]] = []  # due_at, seq, id
        self._remembered: dict[str, float] = {}  # id -> until when, monotonic; in the order of remembering
        self._firsts: dict[str, tuple[float, Accepted]] = {}  # dedupe key -> until when, and what is said of it

    def add(self, item: Item) -> None:
        """Take a message in; one of the same id gives way."""
        self.items[item.message.id] = item
        self.place(item)

    def place(self, item: Item) -> None:
        """Note that a message is due at another time."""
        if item.due_at == 0.0:
            heapq.heappush(self._ready, (item.seq, item.message.id))
        else:
            heapq.heappush(self._later, (item.due_at, item.seq, item.message.id))

    def remove(self, item: Item) -> None:
        """Let a message go."""
        if self.items.get(item.message.id) is item:
            del self.items[item.message.id]

    def knows(self, id: str, now_s: float) -> bool:
        """Whether an id is here or was settled within the window, as one of the latest 10,000."""
        return id in self.items or self._remembered.get(id, now_s) > now_s

    def remember(self, id: str, now_s: float) -> None:
        """Know an id for the window from now on, and forget some whose window is over or that are too many."""
        self._remembered.pop(id, None)
        self._remembered[id] = now_s + self.settings.dedupe_s
        for old in [*self._first(self._remembered, 2)]:
            if self._remembered[old] <= now_s or len(self._remembered) > MOST_REMEMBERED:
                del self._remembered[old]

    def forget(self, id: str) -> None:
        """Let an id be put again."""
        self._remembered.pop(id, None)

    def first(self, key: str, now_s: float) -> Accepted | None:
        """What is said to a put whose dedupe key is known."""
        until, answer = self._firsts.get(key, (now_s, None))
        return answer if until > now_s else None

    def remember_first(self, key: str, accepted: Accepted, now_s: float) -> None:
        """Know a dedupe key for the window from now on, and forget some as `remember` does."""
        self._firsts.pop(key, None)
        self._firsts[key] = (now_s + self.settings.dedupe_s, Accepted(accepted.id, True, accepted.sequence))
        for old in [*self._first(self._firsts, 2)]:
            if self._firsts[old][0] <= now_s or len(self._firsts) > MOST_REMEMBERED:
                del self._firsts[old]

    def due(self, now_s: float) -> Iterator[Item]:
        """Messages to be taken, in order, each at most once; what is not leased must be placed again.

        First what is due, since it has waited for longer or its time has come, then what is ready.
        """
        if self.settings.fifo:
            yield from self._open(now_s)
            return
        while self._later and self._later[0][0] <= now_s:
            if item := self._named(heapq.heappop(self._later)):
                yield item
        while self._ready:
            if item := self._named((0.0, *heapq.heappop(self._ready))):
                yield item

    def revoke(self, groups: Set[str], leased: Sequence[Item]) -> None:
        """Of these groups nothing but what was leased now is anybody's: an old holder's work would overtake it."""
        now_ours = {item.message.id for item in leased}
        for item in self.items.values():
            if item.receipt is not None and item.message.group in groups and item.message.id not in now_ours:
                item.receipt = NOBODYS

    def due_in(self, now_s: float) -> float | None:
        """Seconds until something can be taken, None when nothing is there; at most 0 when something can be."""
        if self.settings.fifo:
            if any(True for _ in self._open(now_s)):
                return 0.0
            return min((item.due_at - now_s for item in self.items.values() if not item.is_due(now_s)), default=None)
        while self._ready and not self._named((0.0, *self._ready[0])):
            heapq.heappop(self._ready)
        if self._ready:
            return 0.0
        while self._later and not self._named(self._later[0]):
            heapq.heappop(self._later)
        return self._later[0][0] - now_s if self._later else None

    def _named(self, entry: tuple[float, int, str]) -> Item | None:
        """The item that a heap's entry (due_at, seq, id) means, None when the entry is out of date."""
        due_at, seq, id = entry
        item = self.items.get(id)
        return item if item is not None and (item.due_at, item.seq) == (due_at, seq) else None

    def in_order(self) -> list[Item]:
        """All messages, oldest first."""
        return sorted(self.items.values(), key=lambda item: item.seq)

    def _open(self, now_s: float) -> Iterator[Item]:
        """A group is closed behind a delayed message, and altogether while one of its messages is in flight."""
        items = self.in_order()
        closed = {item.message.group for item in items if item.is_in_flight(now_s)}
        for item in items:
            if item.message.group in closed:
                continue
            if item.is_due(now_s):
                yield item
            else:
                closed.add(item.message.group)

    @staticmethod
    def _first(keys: Iterable[str], count: int) -> Iterator[str]:
        return (key for _, key in zip(range(count), keys, strict=False))
