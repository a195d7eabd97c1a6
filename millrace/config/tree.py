"""The project file as a tree that still knows where everything stood: stages and overrides are merged into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from millrace.config.faults import Fault, Place, nearest, one_of, shown

Path = tuple[str | int, ...]


class Node(msgspec.Struct):
    """A value and its place; `value` holds Nodes where it is a dict or a list.

    `key_place` is where the node's key stands; `written` is what was written when the value came from `${env:...}`.
    """

    value: Any
    place: Place
    key_place: Place
    written: str | None = None

    def child(self, step: str | int) -> Node | None:
        """The node one step below, None when there is none."""
        if isinstance(self.value, dict):
            return self.value.get(str(step)) if isinstance(step, str) else None
        if isinstance(self.value, list) and isinstance(step, int) and 0 <= step < len(self.value):
            found: Node = self.value[step]
            return found
        return None

    def remove(self, step: str | int) -> None:
        """Take the node one step below out."""
        del self.value[step]

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    @property
    def shown(self) -> str:
        """The value as a fault shows it; never what an environment variable held."""
        return shown(self.value if self.written is None else self.written)


def walk(root: Node, path: Sequence[str | int]) -> list[Node]:
    """The nodes from the root along a path; steps that name nothing below (a union's branch) are passed over."""
    trail = [root]
    for step in path:
        found = trail[-1].child(step)
        if found is not None:
            trail.append(found)
    return trail


def overlay(base: Node, over: Node) -> Node:
    """`over` laid upon `base`: mappings are merged key by key, everything else is replaced."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = overlay(merged[key], node) if key in merged else node
    return Node(merged, base.place, base.key_place)


def apply_stage(root: Node, stage: str | None, faults: list[Fault]) -> Node:
    """The tree with one stage's overlay and the stage's name in it; an unknown stage is a fault."""
    stages = root.child("stages")
    names = list(stages.value) if stages is not None and isinstance(stages.value, dict) else []
    own = root.child("stage")
    chosen = stage if stage is not None else own.value if own is not None and isinstance(own.value, str) else "dev"
    if stage is not None:
        place = Place(f"--stage {stage}")
        root = overlay(root, Node({"stage": Node(stage, place, place)}, root.place, root.key_place))
    if chosen in names and stages is not None:
        over = stages.value[chosen]
        return overlay(root, over) if isinstance(over.value, dict) else root  # the schema tells what else it is
    if stage is not None and stage != "dev":
        near = nearest(stage, names)
        what = f"unknown stage {stage!r}" if names else f"unknown stage {stage!r}: no `stages` are declared"
        faults.append(Fault(Place(f"--stage {stage}"), what, one_of(names, near), near=near))
    return root


def assign(root: Node, steps: Sequence[str], value: Node) -> str:
    """Put a node at a dotted path, making mappings on the way; what stood in the way, empty when nothing did."""
    node = root
    for depth, step in enumerate(steps):
        last = depth == len(steps) - 1
        if isinstance(node.value, list):
            if not (step.isdecimal() and int(step) < len(node.value)):
                return f"{'.'.join(steps[:depth])} is a list of {len(node.value)}, so {step!r} names nothing in it"
            if last:
                node.value[int(step)] = value
            else:
                node = node.value[int(step)]
            continue
        if node.value is None:
            node.value = {}
        if not isinstance(node.value, dict):
            return f"{'.'.join(steps[:depth])} is {node.shown}, which has nothing below it"
        if last:
            node.value[step] = value
        else:
            node = node.value.setdefault(step, Node({}, value.place, value.key_place))
    return ""
