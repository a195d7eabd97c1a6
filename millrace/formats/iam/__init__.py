"""Whether a function's IAM statements let it do what it does: read before the deploy that would end in AccessDenied.

its events, its environment, the calls in its code → needs → each is looked for in the statements → warnings
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from millrace.config.faults import Fault
from millrace.config.tree import Node
from millrace.formats.iam.calls import calls
from millrace.formats.iam.needs import Need, Resources, of_calls, of_environment, of_events
from millrace.formats.iam.policy import Policy, Statement, allows

__all__ = ["Policy", "Statement", "denials", "refusals"]


def refusals(tree: Node, policies: dict[str, Policy], root: Path) -> Iterator[Fault]:
    """A warning for each action that a function of the tree (in millrace.yml's words) needs and would be refused.

    Functions without a policy have a role that stands elsewhere; nothing is said of them.
    """
    resources = _resources(tree)
    functions = tree.child("functions")
    for name, policy in policies.items():
        function = functions.child(name) if functions is not None else None
        if function is not None:
            yield from denials(name, _needs(function, policy, resources, root), policy.statements)


def denials(function: str, needs: Iterable[Need], statements: Iterable[Statement]) -> Iterator[Fault]:
    """A warning for each need that no statement meets; the same action on the same resource is told once."""
    known = list(statements)
    lacking: dict[tuple[str, str], Need] = {}
    for need in needs:
        if not any(allows(known, action, need.resource) for action in need.actions):
            lacking.setdefault((need.actions[0], need.resource), need)
    for need in lacking.values():
        target = "" if need.resource == "*" else f" on {need.resource}"
        what = f"functions.{function} would be refused with AccessDenied: {need.why}"
        expected = f"a statement that allows {' or '.join(need.actions)}{target}"
        yield Fault(need.place, what, expected, severity="warning")


def _needs(function: Node, policy: Policy, resources: Resources, root: Path) -> Iterator[Need]:
    if not policy.polls:
        yield from of_events(function, resources)
    yield from of_environment(function, resources)
    handler = function.child("handler")
    if handler is not None and isinstance(handler.value, str):
        below = function.child("root")
        folder = root / below.value if below is not None and isinstance(below.value, str) else root
        *path, name = handler.value.replace("/", ".").split(".")
        yield from of_calls(calls(folder.joinpath(*path).with_suffix(".py"), name, folder), resources)


def _resources(tree: Node) -> Resources:
    aws = tree.child("aws")
    told = aws.plain() if aws is not None and isinstance(aws.value, dict) else {}
    names = {
        section: frozenset(node.value)
        for section in ("queues", "tables", "buckets", "topics")
        if (node := tree.child(section)) is not None and isinstance(node.value, dict)
    }
    return Resources(told.get("region", "us-east-1"), told.get("account", "000000000000"), **names)
