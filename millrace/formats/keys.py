"""What a format's reader understands: one Key each, by which files are read and the compatibility page is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from millrace.config.faults import Fault, nearest
from millrace.config.tree import Node

Support = Literal["yes", "partly", "no", "nothing to do"]


class Key(NamedTuple):
    """One key: whether it does here what it does there, and in few words how or why not.

    `nothing to do`: it concerns the deployment alone, so leaving it aside changes nothing here.
    """

    support: Support
    note: str = ""


Keys = Mapping[str, Key]


def doubts(node: Node, known: Keys, where: str) -> Iterator[Fault]:
    """A warning for each key of a mapping that is not understood, or not wholly; `where` names the mapping."""
    if not isinstance(node.value, dict):
        return
    for name, child in node.value.items():
        key = known.get(name)
        if key is None:
            near = nearest(name, known)
            yield Fault(
                child.key_place, f"{where}: {name} is not understood and left aside", near=near, severity="warning"
            )
        elif key.support in ("partly", "no"):
            said = "is understood in part" if key.support == "partly" else "does nothing here"
            yield Fault(child.key_place, f"{where}: {name} {said}: {key.note}", severity="warning")


class Tally(Protocol):
    """Faults, and the count of keys: a Draft, or a reader's own."""

    faults: list[Fault]
    understood: int
    keys: int


def examine(tally: Tally, part: Node | None, known: Keys, where: str) -> None:
    """Count the keys of a mapping, and tell which are not, or not wholly, understood."""
    if part is None or not isinstance(part.value, dict):
        return
    tally.faults += doubts(part, known, where)
    for name in part.value:
        key = known.get(name)
        tally.keys += 1
        tally.understood += key is not None and key.support in ("yes", "nothing to do")
