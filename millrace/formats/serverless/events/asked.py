"""What an event's reader is told: the event as written, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below
from millrace.formats.keys import Keys
from millrace.formats.serverless.reading import Reading


class Asked(msgspec.Struct, frozen=True):
    """One event of a function: `node` is what stands behind its kind, resolved."""

    function: str
    kind: str
    node: Node
    timeout_s: int
    reading: Reading

    @property
    def where(self) -> str:
        """The event as faults name it."""
        return f"functions.{self.function}: {self.kind}"

    def get(self, *path: str) -> Node | None:
        """A key of the event's long form."""
        return below(self.node, *path)

    def add(self, event: dict[str, Any]) -> None:
        """Give the function one trigger more, in millrace.yml's words."""
        self.reading.weave.add_event(self.function, event, self.node)

    def examine(self, known: Keys) -> None:
        """Say which of its keys are not understood."""
        self.reading.ledger.examine(self.node, known, self.where)

    def refuse(self, expected: str) -> None:
        """Say that the event is not what it should be."""
        self.reading.ledger.refuse(self.node, self.where, expected, self.node.shown)

    def warn(self, node: Node, what: str, expected: str = "") -> None:
        """Say something of a part of the event."""
        self.reading.ledger.warn(node, f"{self.where}: {what}", expected)


EventReader = Callable[[Asked], None]
