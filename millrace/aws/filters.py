"""Which records reach a function and which publications a subscriber: patterns, applied to what AWS applies them to.

    queue         the SQS record; a pattern of the body's fields wants a JSON body, a list for the body plain text
    stream        the DynamoDB record
    subscription  the published attributes, or the message as JSON

Rules: AWS Lambda developer guide, "Using event filtering with an Amazon SQS event source" (and DynamoDB's); SNS
developer guide, "Amazon SNS subscription filter policies".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from millrace.patterns import Matcher, compile_any, compile_pattern
from millrace.source import Published, TopicAttribute

Json = dict[str, Any]


def queue_filter(patterns: Sequence[Json]) -> Matcher:
    """What an SQS record must look like; a body whose format is not the pattern's matches nothing."""
    matchers = [_of_record(pattern) for pattern in patterns]
    return lambda record: not matchers or any(matches(record) for matches in matchers)


def stream_filter(patterns: Sequence[Json]) -> Matcher:
    """What a DynamoDB record must look like."""
    return compile_any(patterns)


def subscription_filter(policy: Json, scope: str) -> Callable[[Published], bool]:
    """What a publication must look like for a subscriber; an empty policy lets everything pass."""
    if not policy:
        return lambda published: True
    matches = compile_pattern(policy)
    if scope == "MessageAttributes":
        return lambda published: matches(_attributes(published))
    return lambda published: (body := _structured(published.message)) is not None and matches(body)


def _of_record(pattern: Json) -> Matcher:
    matches = compile_pattern(pattern)
    wanted = pattern.get("body")

    def whole(record: Json) -> bool:
        body = _structured(record["body"])
        if body is None:
            return not isinstance(wanted, dict) and matches(record)
        return not isinstance(wanted, list) and matches({**record, "body": body})

    return whole


def _structured(text: str) -> Any:
    """A text that is a JSON object or list; None for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _attributes(published: Published) -> Json:
    """The attributes by name; those whose value is not what their type says are absent."""
    found = ((name, _value(each)) for name, each in published.attributes.items())
    return {name: value for name, value in found if value is not None}


def _value(attribute: TopicAttribute) -> Any:
    if attribute.type == "Binary":
        return None
    if attribute.type == "String":
        return attribute.value
    try:
        return msgspec.json.decode(attribute.value, type=_KINDS.get(attribute.type, str))
    except msgspec.DecodeError:
        return None


_KINDS: dict[str, Any] = {"Number": int | float, "String.Array": list[str | int | float | bool | None]}
