"""ARNs that name where something goes: queues, topics, functions and buses, in millrace.yml's words."""

from __future__ import annotations

from millrace.config.tree import Node
from millrace.formats.cloudformation.queues import external
from millrace.formats.cloudformation.weave import Weave


def destination(weave: Weave, found: Node, where: str) -> dict[str, Node] | None:
    """`{queue: ...}`, `{topic: ...}`, `{function: ...}` or `{bus: ...}` for an ARN; None, said once, for others."""
    arn = weave.arn(found, where)
    if arn is None:
        return None
    if arn.service == "sqs":
        weave.declare("queues", arn.name, external(arn.name), found)
        return {"queue": _at(arn.name, found)}
    if arn.service == "sns":
        weave.declare("topics", arn.name, {}, found)
        return {"topic": _at(arn.name, found)}
    if arn.service == "lambda":
        key = weave.function(found, where)
        return None if key is None else {"function": _at(key, found)}
    if arn.service == "events" and arn.kind == "event-bus":
        return {"bus": _at(arn.name, found)}
    weave.warn(found, f"{where}: {arn.service} receives nothing here: left aside")
    return None


def _at(name: str, found: Node) -> Node:
    return Node(name, found.place, found.key_place)
