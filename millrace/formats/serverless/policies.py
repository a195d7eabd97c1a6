"""What functions' roles allow: the service's own role, one for each function, or one among the resources."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.config.tree import Node
from millrace.formats.cloudformation.resolver import is_call
from millrace.formats.cloudformation.values import below, is_true, items, text_of
from millrace.formats.iam.policy import Policy, statements
from millrace.formats.nodes import node as made
from millrace.formats.serverless.reading import Reading


def role_of(function: Node, provider: Node | None) -> Node | None:
    """The role that stands elsewhere, as an ARN: a logical id alone means the resource's. None for Serverless's own."""
    if below(function, "iamRoleStatements") is not None:
        return None
    shared = below(provider, "iam", "role")
    if shared is not None and isinstance(shared.value, dict) and not is_call(shared):
        shared = None
    role = below(function, "role") or below(provider, "role") or shared
    if role is None or not text_of(role) or text_of(role).startswith("arn:"):
        return role
    return made({"Fn::GetAtt": [text_of(role), "Arn"]}, role)


def read_policy(
    key: str, function: Node, provider: Node | None, granted: Iterable[Node] | None, reading: Reading
) -> None:
    """Note what a function's role allows, where that is known; `granted` are the statements of a role resource."""
    if role_of(function, provider) is not None:
        if granted is not None:
            reading.policies[key] = _policy(granted, function, reading, polls=False)
        return
    own, role = below(function, "iamRoleStatements"), below(provider, "iam", "role")
    if own is None and (below(provider, "iamManagedPolicies") or below(role, "managedPolicies")):
        return
    shared = [*items(below(provider, "iamRoleStatements")), *items(below(role, "statements")), *reading.granted]
    if own is not None:
        shared = [*items(own), *(shared if is_true(below(function, "iamRoleStatementsInherit")) else [])]
    reading.policies[key] = _policy(shared, function, reading, polls=True)


def _policy(listed: Iterable[Node], function: Node, reading: Reading, *, polls: bool) -> Policy:
    whole = Node(list(listed), function.place, function.key_place)
    return Policy(tuple(statements(reading.resolve(whole))), polls)
