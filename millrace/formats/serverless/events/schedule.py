"""`schedule`: moments that come again; a list of rules makes an event of each."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import items, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.events.inputs import given_input, given_path, switched_off

SCHEDULE_KEYS: Keys = {
    "rate": Key("yes", "rate(...), cron(...), or a list of them"),
    "enabled": Key("yes"),
    "input": Key("yes"),
    "inputPath": Key("yes"),
    "inputTransformer": Key("no", "the scheduled event comes as it is"),
    "method": Key("nothing to do"),
    "timezone": Key("no", "rules are read in UTC"),
    "name": Key("nothing to do"),
    "description": Key("nothing to do"),
    "roleArn": Key("nothing to do"),
}


def read_schedule(asked: Asked) -> None:
    """A `schedule` event for each rule."""
    asked.examine(SCHEDULE_KEYS)
    rules = asked.get("rate") if isinstance(asked.node.value, dict) else asked.node
    found = list(_rules(rules, asked)) if rules is not None else []
    if not found:
        asked.refuse("rate(5 minutes), cron(0 3 * * ? *), or `rate:` with one of them")
    for rule in found:
        asked.add({"schedule": rule, **given_input(asked), **given_path(asked), **switched_off(asked)})


def _rules(node: Node, asked: Asked) -> list[Any]:
    resolved = asked.reading.resolve(node)
    return [text(text_of(each).strip(), each) for each in items(resolved) if text_of(each).strip()]
