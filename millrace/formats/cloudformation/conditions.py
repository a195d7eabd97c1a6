"""Whether a condition holds: And, Or, Not, Equals, and conditions by name."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.resolver import Resolver
from millrace.formats.cloudformation.trouble import wrong

_EXPECTED = "Fn::And, Fn::Or, Fn::Not, Fn::Equals or a Condition"


def holds(resolver: Resolver, expression: Node) -> bool:
    """Whether an expression of the Conditions holds. Raises Unresolved."""
    with resolver.level(expression):
        return _holds(resolver, expression)


def _holds(resolver: Resolver, expression: Node) -> bool:
    if not isinstance(expression.value, dict) or len(expression.value) != 1:
        raise wrong(expression, "a condition", _EXPECTED)
    ((name, argument),) = expression.value.items()
    if name == "Condition" and isinstance(argument.value, str):
        return resolver.scope.condition(argument.value, argument)
    if name not in ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals") or not isinstance(argument.value, list):
        raise wrong(expression, "a condition", _EXPECTED, got=name)
    parts: list[Node] = argument.value
    if len(parts) != {"Fn::Not": 1, "Fn::Equals": 2}.get(name, min(max(len(parts), 2), 10)):
        wanted = {"Fn::Not": "one condition", "Fn::Equals": "two values"}.get(name, "two to ten conditions")
        raise wrong(argument, name, wanted, got=f"{len(parts)}")
    if name == "Fn::Equals":
        one, other = (resolver.resolve(part) for part in parts)
        return bool(_comparable(one) == _comparable(other))
    truths = [holds(resolver, part) for part in parts]
    return not truths[0] if name == "Fn::Not" else all(truths) if name == "Fn::And" else any(truths)


def _comparable(found: Node | None) -> Any:
    """A value as CloudFormation compares it: as text, so that 1 is "1" and true is "true"."""
    value = None if found is None else found.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return {key: _comparable(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_comparable(child) for child in value]
    return value if value is None else str(value)
