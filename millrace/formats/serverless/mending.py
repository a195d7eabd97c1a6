"""What is broken in a way that leaves no doubt of its meaning, mended aloud: dashes that were lost, above all."""

from __future__ import annotations

from millrace.config.tree import Node
from millrace.formats.nodes import node as made
from millrace.formats.serverless.ledger import Ledger


def mend(node: Node, ledger: Ledger) -> Node:
    """The node with every `Fn::GetAtt: Queue Arn` below it as the list that it was: two lines without their dashes."""
    if isinstance(node.value, list):
        inside: object = [mend(item, ledger) for item in node.value]
    elif isinstance(node.value, dict):
        inside = {name: _attribute(name, mend(item, ledger), ledger) for name, item in node.value.items()}
    else:
        return node
    return Node(inside, node.place, node.key_place, node.written)


def _attribute(name: str, node: Node, ledger: Ledger) -> Node:
    if name != "Fn::GetAtt" or not isinstance(node.value, str):
        return node
    parts = node.value.split()
    if len(parts) == 2:
        ledger.warn(node, "Fn::GetAtt as one text: taken as a list of two", f"[{parts[0]}, {parts[1]}]", node.shown)
        return made(parts, node)
    return made(node.value.split(".", 1), node) if "." in node.value else node


def event_list(node: Node, where: str, known: set[str], ledger: Ledger) -> list[tuple[str, Node]]:
    """The events of a function as (kind, value): of a list, of a mapping without dashes, of items that came apart."""
    if isinstance(node.value, dict):
        ledger.warn(node, f"{where} is a mapping: each key is taken as an event", "a list: `- sqs: ...`")
        return [(kind, value) for kind, value in node.value.items()]
    if not isinstance(node.value, list):
        if node.value is not None:
            ledger.refuse(node, where, "a list of events", node.shown)
        return []
    found: list[tuple[str, Node]] = []
    for item in node.value:
        if isinstance(item.value, str):
            found.append((item.value, Node(None, item.place, item.key_place)))
        elif isinstance(item.value, dict):
            found += _split(item, where, known, ledger)
        elif item.value is not None:
            ledger.refuse(item, f"{where}: an event", "a mapping such as `sqs: ARN`", item.shown)
    return found


def _split(item: Node, where: str, known: set[str], ledger: Ledger) -> list[tuple[str, Node]]:
    """An item's one event; of `- sqs:` with its keys not deep enough beneath, sqs with those keys."""
    kinds = [key for key in item.value if key in known]
    if len(item.value) > 1 and len(kinds) == 1 and item.value[kinds[0]].value is None:
        kind = kinds[0]
        ledger.warn(item.value[kind], f"{where}: what stands beside {kind} is taken to belong to it", "deeper indents")
        rest = {key: value for key, value in item.value.items() if key != kind}
        return [(kind, Node(rest, item.value[kind].place, item.value[kind].key_place))]
    return list(item.value.items())
