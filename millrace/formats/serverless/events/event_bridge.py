"""`eventBridge` and the older `cloudwatchEvent`: what matches a pattern on a bus, or a schedule."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import is_false, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.events.inputs import given_input, given_path, switched_off
from millrace.formats.serverless.targets import DEFAULT_BUS, bus

EVENT_BRIDGE_KEYS: Keys = {
    "eventBus": Key("yes"),
    "pattern": Key("yes"),
    "schedule": Key("yes"),
    "input": Key("yes"),
    "inputPath": Key("yes"),
    "inputTransformer": Key("no", "the event comes as it is"),
    "enabled": Key("yes"),
    "retryPolicy": Key("nothing to do"),
    "deadLetterQueueArn": Key("nothing to do"),
    "name": Key("nothing to do"),
    "description": Key("nothing to do"),
}
CLOUDWATCH_EVENT_KEYS: Keys = {
    "event": Key("yes", "the pattern"),
    "input": Key("yes"),
    "inputPath": Key("yes"),
    "inputTransformer": Key("no", "the event comes as it is"),
    "enabled": Key("yes"),
    "name": Key("nothing to do"),
    "description": Key("nothing to do"),
}


def read_event_bridge(asked: Asked) -> None:
    """A `bus` event for a pattern, a `schedule` event for a rule; both where both are said."""
    pattern, schedule = asked.get("pattern"), asked.get("schedule")
    asked.examine(EVENT_BRIDGE_KEYS)
    if pattern is None and schedule is None:
        asked.refuse("a mapping with `pattern:` or `schedule:`")
    if pattern is not None:
        _on_bus(asked, bus(asked.get("eventBus"), asked.reading), pattern)
    if schedule is not None:
        rule = text_of(asked.reading.resolve(schedule)).strip()
        asked.add({"schedule": text(rule, schedule), **given_input(asked), **given_path(asked), **switched_off(asked)})


def read_cloudwatch_event(asked: Asked) -> None:
    """One `bus` event on the default bus."""
    asked.examine(CLOUDWATCH_EVENT_KEYS)
    pattern = asked.get("event")
    if pattern is None:
        asked.refuse("a mapping with `event:`, the pattern")
    else:
        _on_bus(asked, DEFAULT_BUS, pattern)


def _on_bus(asked: Asked, name: str, pattern: Node) -> None:
    if is_false(asked.get("enabled")):
        return  # a bus event that is off is none
    event: dict[str, Any] = {"bus": text(name, pattern), "pattern": asked.reading.resolve(pattern)}
    asked.add({**event, **given_input(asked), **given_path(asked)})
