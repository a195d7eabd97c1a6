"""Resources that wait for one another in a circle, which CloudFormation refuses to deploy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from millrace.config.faults import Fault
from millrace.config.tree import Node
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.trouble import Unresolved
from millrace.formats.cloudformation.values import items, text_of

_NAMED = re.compile(r"\$\{([A-Za-z0-9]+)[^{}]*\}")
_CALLS = ("Ref", "Fn::GetAtt", "Fn::Sub")


def circular(stack: Stack) -> Iterator[Fault]:
    """A warning for each circle, told once, at the first of its resources."""
    needs = {name: _needs(each.node, stack) for name, each in stack.resources.items()}
    for way in _circles(needs):
        written = [name for name in way if not stack.resources[name].generated] or way
        told = " → ".join([*way, way[0]])
        what = f"{told} wait for one another: CloudFormation deploys no such circle (here it runs)"
        yield Fault(stack.resources[written[0]].node.key_place, what, severity="warning")


def _needs(resource: Node, stack: Stack) -> list[str]:
    """The resources that one refers to or names under DependsOn, in the order of the template."""
    named = [text_of(each) for each in items(resource.child("DependsOn"))]
    properties = resource.child("Properties")
    named += [] if properties is None else _named(properties, stack)
    return [name for name in dict.fromkeys(named) if name in stack.resources]


def _named(found: Node, stack: Stack) -> Iterator[str]:
    if isinstance(found.value, list):
        for each in found.value:
            yield from _named(each, stack)
    elif isinstance(found.value, dict):
        choice = items(found.child("Fn::If"))
        if len(choice) == 3 and len(found.value) == 1:
            yield from _named(choice[1] if _holds(choice[0], stack) else choice[2], stack)
            return
        for key, child in found.value.items():
            if key in _CALLS:
                yield from _called(key, items(child))
            yield from _named(child, stack)


def _called(name: str, arguments: list[Node]) -> Iterator[str]:
    """What Ref, Fn::GetAtt or Fn::Sub names."""
    first = text_of(arguments[0]) if arguments else ""
    if name == "Fn::Sub":
        yield from _NAMED.findall(first)
    else:
        yield first.partition(".")[0]


def _holds(condition: Node, stack: Stack) -> bool:
    try:
        return stack.condition(text_of(condition), condition)
    except Unresolved:
        return True


def _circles(needs: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Circles of a graph, each beginning with the one that was come upon first; no resource is in two of them."""
    done: set[str] = set()
    for start in needs:
        way: list[str] = []
        branches = [iter([start])]
        while branches:
            name = next(branches[-1], None)
            if name is None:
                branches.pop()
                done.update(way[len(branches) - 1 :])
                del way[max(len(branches) - 1, 0) :]
            elif name in way:
                yield way[way.index(name) :]
                done.update(way[way.index(name) :])
            elif name not in done:
                way.append(name)
                branches.append(iter(needs[name]))
