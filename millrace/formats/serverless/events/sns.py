"""`sns`: what is published to a topic."""

from __future__ import annotations

from typing import Any

from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.targets import topic

SNS_KEYS: Keys = {
    "arn": Key("yes"),
    "topicName": Key("yes"),
    "displayName": Key("nothing to do"),
    "filterPolicy": Key("yes"),
    "filterPolicyScope": Key("yes"),
    "redrivePolicy": Key("nothing to do"),
    "kmsMasterKeyId": Key("nothing to do"),
}


def read_sns(asked: Asked) -> None:
    """One `topic` event."""
    asked.examine(SNS_KEYS)
    arn, named = asked.get("arn"), asked.get("topicName")
    source = arn or named or asked.node
    name = topic(source, asked.where, asked.reading)
    if name is None:
        return
    event: dict[str, Any] = {"topic": text(name, source)}
    if (policy := asked.get("filterPolicy")) is not None:
        event["filter"] = asked.reading.resolve(policy)
    if (scope := asked.get("filterPolicyScope")) is not None:
        event["scope"] = scope
    asked.add(event)
