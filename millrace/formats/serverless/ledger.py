"""How much of the file is understood: every key that is read is looked up in its section's mapping, and counted."""

from __future__ import annotations

import msgspec

from millrace.config.faults import Fault
from millrace.config.tree import Node
from millrace.formats.keys import Keys, examine


class Ledger(msgspec.Struct):
    """Faults in the order in which they were found, and the count of keys."""

    faults: list[Fault] = msgspec.field(default_factory=list)
    understood: int = 0
    keys: int = 0

    def examine(self, node: Node | None, known: Keys, where: str) -> None:
        """Count the keys of a mapping and warn of those that are not, or not wholly, understood."""
        examine(self, node, known, where)

    def count(self, understood: bool) -> None:
        """One key more."""
        self.keys += 1
        self.understood += understood

    def warn(self, node: Node, what: str, expected: str = "", got: str = "", near: str = "") -> None:
        """Something worth saying at a node."""
        self.faults.append(Fault(node.place, what, expected, got, near, severity="warning"))

    def refuse(self, node: Node, what: str, expected: str = "", got: str = "", near: str = "") -> None:
        """Something wrong at a node."""
        self.faults.append(Fault(node.place, what, expected, got, near))
