"""What became of a partition's messages: the committed offset, and in the commit's metadata each one's own end.

The text has a letter for each offset from the committed one on: `-` is settled, `.` untouched, `a` to `z` delivered
once to twenty-six times; a number behind a letter says how often it stands there. `a-300.2b` is five kinds of luck in
eight characters. Kafka keeps up to 4096 bytes of it (offset.metadata.max.bytes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

ROOM = 4000  # characters of a commit's metadata
_SETTLED = 0
_MOST = 26
_RUN = re.compile(r"([-.a-z])(\d{0,9})")
_TEXT = re.compile(rf"(?:{_RUN.pattern})*")


class Progress:
    """One partition's: `base` is the offset to commit, `next` the one that the broker is to give next."""

    def __init__(self, base: int, text: str = "") -> None:
        """`text` that is not ours counts as none: what it would have told is delivered again."""
        self.base = self.next = base
        self.fits = True
        self._marks: dict[int, int] = {}
        offset = base
        for letter, times in _RUN.findall(text) if _TEXT.fullmatch(text) and len(text) <= ROOM else ():
            count = int(times or 1)
            if count > ROOM * ROOM:
                break
            if letter != ".":
                mark = _SETTLED if letter == "-" else ord(letter) - ord("a") + 1
                self._marks.update(dict.fromkeys(range(offset, offset + count), mark))
            offset += count

    def deliver(self, offset: int) -> bool:
        """Whether the message at an offset is to be handed out; those that the broker left out before it never were."""
        if not self._marks and self.base == self.next:
            self.base = max(self.base, offset)  # however many the broker left out
        for missing in range(max(self.next, self.base), offset):
            self._marks.setdefault(missing, _SETTLED)
        self.next = max(self.next, offset + 1)
        self._advance()
        return offset >= self.base and self._marks.get(offset) != _SETTLED

    def reach(self, offset: int) -> None:
        """Nothing is to come before this offset: the partition's end, behind markers of transactions perhaps."""
        if offset > self.next:
            self.deliver(offset - 1)
            self.settle(offset - 1)

    def attempts(self, offset: int) -> int:
        """How often a message was delivered."""
        return self._marks.get(offset, 0)

    def count(self, offset: int, attempts: int) -> None:
        """Remember how often a message was delivered; 0 is never."""
        if attempts:
            self._marks[offset] = min(attempts, _MOST)
        else:
            self._marks.pop(offset, None)

    def settle(self, offset: int) -> None:
        """The message is done with."""
        if offset >= self.base:
            self._marks[offset] = _SETTLED
            self._advance()

    def is_settled(self, offset: int) -> bool:
        """Whether it was, before or now."""
        return offset < self.base or self._marks.get(offset) == _SETTLED

    def counts(self, end: int) -> tuple[int, int]:
        """How many before `end` are not settled, and how many of these were delivered."""
        marks = [mark for offset, mark in self._marks.items() if offset < end]
        settled = marks.count(_SETTLED)
        return max(0, end - self.base - settled), len(marks) - settled

    def text(self) -> str:
        """The metadata; as much as there is room for. What is left out would be delivered again after a crash."""
        runs, length = [], 0
        self.fits = True
        for run in self._runs():
            length += len(run)
            if length > ROOM:
                self.fits = False
                break
            runs.append(run)
        return "".join(runs)

    def _runs(self) -> Iterator[str]:
        for letter, every in groupby(self._letters()):
            count = sum(1 for _ in every)
            yield letter if count == 1 else f"{letter}{count}"

    def _letters(self) -> Iterator[str]:
        expected = self.base
        for offset in sorted(self._marks):
            yield from "." * (offset - expected)
            mark = self._marks[offset]
            yield "-" if mark == _SETTLED else chr(ord("a") + mark - 1)
            expected = offset + 1

    def _advance(self) -> None:
        while self._marks.get(self.base) == _SETTLED:
            del self._marks[self.base]
            self.base += 1
