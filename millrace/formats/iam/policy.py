"""IAM statements, and whether they allow an action on a resource.

Rules: IAM user guide, "Policy evaluation logic" for one account: an explicit Deny wins, what nothing allows is denied;
`*` and `?` are wildcards; actions are compared without case. Conditions are not evaluated: a statement with one counts
as if it held, since what is asked is whether somebody thought of the action at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from millrace.config.tree import Node


class Statement(NamedTuple):
    """One statement with its lists filled in; `except_actions` and `except_resources` are NotAction, NotResource."""

    effect: str
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ("*",)
    except_actions: tuple[str, ...] = ()
    except_resources: tuple[str, ...] = ()

    def covers(self, action: str, resource: str) -> bool:
        """Whether the statement speaks of this action on this resource; `*` asks for the action on any."""
        named = _any(self.actions, action) or (bool(self.except_actions) and not _any(self.except_actions, action))
        if not named:
            return False
        if resource == "*":
            return True
        if self.except_resources:
            return not _any(self.except_resources, resource)
        # `.../stream/*` asks for any stream of a table, so a statement that names one of them will do.
        some = resource.endswith("*") and any(each.startswith(resource[:-1]) for each in self.resources)
        return some or _any(self.resources, resource)


class Policy(NamedTuple):
    """What a function's role allows; `polls` where the framework itself adds what the function's events need."""

    statements: tuple[Statement, ...]
    polls: bool = True


def statements(*nodes: Node) -> Iterator[Statement]:
    """The statements of lists, single ones, or policy documents; what is none of that is passed over."""
    for node in nodes:
        yield from _statements(node.plain())


def _statements(value: Any) -> Iterator[Statement]:
    if isinstance(value, list):
        for each in value:
            yield from _statements(each)
    elif isinstance(value, dict) and "Statement" in value:
        yield from _statements(value["Statement"])
    elif isinstance(value, dict) and isinstance(value.get("Effect"), str):
        yield Statement(
            value["Effect"],
            _texts(value.get("Action")),
            _texts(value.get("Resource")) or ("*",),
            _texts(value.get("NotAction")),
            _texts(value.get("NotResource")),
        )


def allows(known: Iterable[Statement], action: str, resource: str) -> bool:
    """Whether the statements let somebody do `action` (service:Name) on an ARN; `*` asks whether on any at all."""
    allowed = False
    for statement in known:
        if not statement.covers(action, resource):
            continue
        if statement.effect == "Deny":
            if resource != "*" or "*" in statement.resources:
                return False
        elif statement.effect == "Allow":
            allowed = True
    return allowed


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(_pattern(pattern).fullmatch(text) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.IGNORECASE | re.DOTALL)
