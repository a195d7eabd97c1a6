"""Replaces intrinsic functions by what they give; each is one entry of FUNCTIONS, in functions.py.

A value is resolved once and remembered. What has no meaning becomes a fault at its place, and a readable stand-in takes
its place so that everything else is read on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from millrace.config.faults import Fault, nearest
from millrace.config.tree import Node
from millrace.formats.cloudformation.dynamic import filled, has_references
from millrace.formats.cloudformation.trouble import Unresolved, wrong

_MOST_LEVELS = 80
_MOST_CHARACTERS = 8_000_000  # of all texts that are made: names that double one another grow quickly


class Scope(Protocol):
    """What functions look names up in."""

    def reference(self, name: str, at: Node) -> Node | None:
        """What Ref gives; None is AWS::NoValue. Raises Unresolved."""
        ...

    def attribute(self, logical_id: str, name: str, at: Node) -> Node:
        """What Fn::GetAtt gives. Raises Unresolved."""
        ...

    def condition(self, name: str, at: Node) -> bool:
        """Whether a condition holds. Raises Unresolved."""
        ...

    def mapped(self, steps: list[str], at: Node) -> Node | None:
        """A value of the Mappings, None where there is none. Raises Unresolved where the mapping itself is unknown."""
        ...

    def imported(self, name: str, at: Node) -> Node:
        """What another stack exports under a name. Raises Unresolved."""
        ...

    def kept(self, name: str) -> str | None:
        """What AWS keeps under `ssm:/shop/host` or `secretsmanager:shop`, None where that is not known here."""
        ...


class _TooDeep(Unresolved):
    pass


Function = Callable[["Resolver", Node], Node | None]


class Resolver:
    """Resolves the values of one template."""

    def __init__(self, scope: Scope, functions: Mapping[str, Function], faults: list[Fault]) -> None:
        self.scope = scope
        self._functions = functions
        self._faults = faults
        self._done: dict[int, tuple[Node, Node | None]] = {}  # the node itself is kept so that its id stays its own
        self._depth = 0
        self._characters = 0

    def resolve(self, node: Node) -> Node | None:
        """The value without intrinsic functions, None for AWS::NoValue; faults are noted, nothing is raised."""
        known = self._done.get(id(node))
        if known is not None:
            return known[1]
        found = self._resolve(node)
        if found is not None and has_references(found):
            found = filled(found, self.scope.kept, self._tell)
        self._done[id(node)] = (node, found)
        return found

    def spend(self, text: str, at: Node) -> str:
        """A text that was made, counted against what a template may make. Raises Unresolved."""
        self._characters += len(text)
        if self._characters > _MOST_CHARACTERS:
            raise wrong(at, "the template's texts become too large", f"{_MOST_CHARACTERS:,} characters in all", got="")
        return text

    def note(self, trouble: Unresolved) -> None:
        """Tell a fault once, however often the value is asked for."""
        self._tell(trouble.fault)

    def _tell(self, fault: Fault) -> None:
        if fault not in self._faults:
            self._faults.append(fault)

    def _resolve(self, node: Node) -> Node | None:
        if not isinstance(node.value, dict | list):
            return node
        try:
            with self.level(node):
                return self._call(node) if is_call(node) else self._inside(node)
        except _TooDeep as trouble:
            self.note(trouble)
            return Node("", node.place, node.key_place)

    @contextmanager
    def level(self, at: Node) -> Iterator[None]:
        """One level deeper, references followed. Raises Unresolved where that is too deep."""
        if self._depth >= _MOST_LEVELS:
            expected = f"at most {_MOST_LEVELS} levels"
            raise _TooDeep(Fault(at.place, "nested too deeply, references followed", expected))
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def _inside(self, node: Node) -> Node:
        if isinstance(node.value, dict):
            found = {key: self.resolve(child) for key, child in node.value.items()}
            return Node({key: child for key, child in found.items() if child is not None}, node.place, node.key_place)
        items = [self.resolve(child) for child in node.value]
        return Node([item for item in items if item is not None], node.place, node.key_place)

    def _call(self, node: Node) -> Node | None:
        ((name, argument),) = node.value.items()
        try:
            function = self._functions.get(name)
            if function is None:
                raise wrong(argument, f"{name} is no function of CloudFormation", near=nearest(name, self._functions))
            found = function(self, argument)
        except Unresolved as trouble:
            self.note(trouble)
            shown = argument.value if isinstance(argument.value, str) else name
            found = Node(trouble.stand_in or shown, argument.place, argument.key_place)
        return None if found is None else Node(found.value, node.place, node.key_place, found.written)


def is_call(node: Node) -> bool:
    """Whether a value is one intrinsic function: {"Ref": ...} or {"Fn::...": ...} and nothing beside it."""
    if not isinstance(node.value, dict) or len(node.value) != 1:
        return False
    name: str = next(iter(node.value))
    return name == "Ref" or name.startswith("Fn::")
