"""What is just being found out: asking for it again is going in a circle."""

from __future__ import annotations

from millrace.config.tree import Node
from millrace.formats.cloudformation.trouble import wrong


class Opened:
    """While something is being found out it must not be asked for again."""

    def __init__(self, open_: list[tuple[str, str]], what: tuple[str, str], at: Node) -> None:
        self._list = open_
        self._what = what
        self._at = at

    def __enter__(self) -> None:
        if self._what in self._list:
            way = [name for _, name in self._list[self._list.index(self._what) :]]
            circle = " → ".join([*way, self._what[1]])
            raise wrong(self._at, f"{' '.join(self._what)} leads back to itself: {circle}", got="")
        self._list.append(self._what)

    def __exit__(self, *_: object) -> None:
        self._list.pop()
