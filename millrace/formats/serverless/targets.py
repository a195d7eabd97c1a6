"""What an ARN, a URL or a name in an event means in this project; what the file does not declare is taken to exist."""

from __future__ import annotations

from typing import Any

from millrace.config.faults import nearest, one_of
from millrace.config.tree import Node
from millrace.formats.arns import Arn, parse_arn
from millrace.formats.cloudformation import targets
from millrace.formats.cloudformation.buckets import folder_of
from millrace.formats.cloudformation.queues import external
from millrace.formats.cloudformation.values import below, measured, text_of
from millrace.formats.serverless.naming import bus_id
from millrace.formats.serverless.reading import Reading

DEFAULT_BUS = "default"
_BUS = "AWS::Events::EventBus"
_LEASE_S = 30


def arn_in(node: Node, reading: Reading) -> tuple[str, Arn | None]:
    """A value's text without intrinsic functions, and the ARN that it is."""
    written = text_of(reading.resolve(node))
    return written, parse_arn(written)


def queue(node: Node, where: str, reading: Reading, timeout_s: int) -> str | None:
    """The name of the queue that an ARN, a URL or a name means; one that is not declared is made.

    Of such a one nothing is known, so its lease is made long enough for the function.
    """
    written, arn = arn_in(node, reading)
    name = arn.name if arn is not None else written.rstrip("/").rpartition("/")[2]
    if not name or (arn is not None and arn.service != "sqs"):
        got = node.shown if arn is None else f"one of {arn.service}"
        reading.ledger.refuse(node, where, "the ARN of a queue, as Fn::GetAtt: [Queue, Arn]", got)
        return None
    reading.weave.declare("queues", name, {**external(name), "lease": max(_LEASE_S, timeout_s)}, node)
    return name


def table(node: Node, where: str, reading: Reading) -> str | None:
    """The name of the table that a stream's ARN means."""
    written, arn = arn_in(node, reading)
    if arn is None or arn.service != "dynamodb":
        got = f"one of {arn.service}" if arn is not None else repr(written)
        reading.ledger.refuse(node, where, "the ARN of a table's stream, as Fn::GetAtt: [Table, StreamArn]", got)
        return None
    reading.weave.declare("tables", arn.name, {"key": "id"}, node)
    return arn.name


def topic(node: Node, where: str, reading: Reading) -> str | None:
    """The name of the topic that an ARN or a name means."""
    written, arn = arn_in(node, reading)
    name = written if arn is None else arn.name
    if not name or (arn is not None and arn.service != "sns"):
        got = node.shown if arn is None else f"one of {arn.service}"
        reading.ledger.refuse(node, where, "the ARN or the name of an SNS topic", got)
        return None
    reading.weave.declare("topics", name, {"fifo": True} if name.endswith(".fifo") else {}, node)
    return name


def bucket(node: Node, where: str, reading: Reading) -> str | None:
    """The name of a bucket."""
    written, arn = arn_in(node, reading)
    name = written if arn is None else arn.name
    if not name or "/" in name:
        reading.ledger.refuse(node, where, "a bucket's name", node.shown)
        return None
    reading.weave.declare("buckets", name, folder_of(name), node)
    return name


def bus(node: Node | None, reading: Reading) -> str:
    """The name of an event bus, the default one where none is named; a bus of another name is made, as there."""
    if node is None:
        return DEFAULT_BUS
    written, arn = arn_in(node, reading)
    name = (arn.name if arn is not None else written) or DEFAULT_BUS
    if name != DEFAULT_BUS and reading.weave.stack.find(_BUS, name) is None:
        reading.weave.put(["aws", "resources", bus_id(name)], {"Type": _BUS, "Properties": {"Name": name}}, node)
    return name


def destination(node: Node, where: str, reading: Reading) -> dict[str, Any] | None:
    """`{queue: x}`, `{topic: x}`, `{function: x}` or `{bus: x}` for an ARN, a function's key, or {type, arn}."""
    target = below(node, "arn") or node
    resolved = reading.resolve(target)
    written = text_of(resolved)
    if parse_arn(written) is not None:
        return targets.destination(reading.weave, resolved, where)
    functions = reading.weave.section("functions")
    if written in functions:
        return {"function": resolved}
    near = nearest(written, functions)
    expected = "an ARN, or " + (one_of(list(functions), near) or "a function of this file")
    reading.ledger.refuse(target, where, expected, target.shown, near)
    return None


def seconds(node: Node) -> Node:
    """A plain number of seconds as millrace.yml has it."""
    return measured(node, "s")
