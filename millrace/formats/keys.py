"""What a format's reader understands: one Key each, by which files are read and the compatibility page is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

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


def tally(node: Node, known: Keys) -> tuple[int, int]:
    """How many keys of a mapping do here what they do there, and how many there are."""
    names = list(node.value) if isinstance(node.value, dict) else []
    understood = [name for name in names if name in known and known[name].support in ("yes", "nothing to do")]
    return len(understood), len(names)
