"""What an EventBridge rule sends to its targets.

moto knows log groups, archives, buses and queues, and raises at anything else; queues, functions and topics are ours.

Rules: Amazon EventBridge user guide, "Input transformation" and "Targets".
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from millrace.aws.moments import seconds_text
from millrace.aws.receivers import Receivers
from millrace.errors import ConfigError
from millrace.patterns import compile_pattern
from millrace.types import Put

_log = logging.getLogger("millrace.aws")

Json = dict[str, Any]


def deliver(
    receivers: Receivers, original: Callable[..., None], rule: Any, original_event: Json, transform_input: bool
) -> list[Put]:
    """What becomes of an event at one rule; targets that are moto's own go through `original`."""
    event = _presentable(original_event)
    if rule.state != "ENABLED" or not _matches(rule, event):
        return []
    puts: list[Put] = []
    for target in rule.targets:
        service = target["Arn"].split(":")[2]
        if service == "sqs":
            group = target.get("SqsParameters", {}).get("MessageGroupId") or ""
            body = msgspec.json.encode(_payload(target, event))
            puts.append(receivers.queue_put(target["Arn"].split(":")[-1], body, group=group))
        elif service == "lambda":
            function = receivers.find(target["Arn"])
            if function is not None:
                puts.append(receivers.function_put(function, _payload(target, event)))
        elif service == "sns":
            _publish(target["Arn"], _text(_payload(target, event)))
        else:
            _leave_to_moto(original, rule, target, original_event, transform_input)
    return puts


def _matches(rule: Any, event: Json) -> bool:
    try:
        return compile_pattern(rule.event_pattern.get_pattern() or {})(event)
    except ConfigError as error:
        _log.warning("rule %s lets nothing pass: %s", rule.name, error.problem)
        return False


def _presentable(event: Json) -> Json:
    """The event as targets see it: the time as text, and nothing of moto's own."""
    shown = {name: value for name, value in event.items() if name not in ("ingestion-time", "archive-arn")}
    time = shown.get("time")
    if isinstance(time, datetime):
        shown["time"] = seconds_text((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    elif isinstance(time, (int, float)):
        shown["time"] = seconds_text(float(time))
    return shown


def _payload(target: Json, event: Json) -> Any:
    if "Input" in target:
        return json.loads(target["Input"])
    if "InputPath" in target:
        return _at(target["InputPath"], event)
    if "InputTransformer" in target:
        return _transformed(target["InputTransformer"], event)
    return event


def _at(path: str, event: Json) -> Any:
    from jsonpath_ng.ext.parser import parse  # of moto's own dependencies

    found = parse(path).find(event)
    return found[0].value if found else None


def _transformed(transformer: Json, event: Json) -> Any:
    """The template with its <names> filled in; JSON where that gives JSON, else text."""
    text: str = transformer["InputTemplate"]
    values = {name: _at(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    values["aws.events.event.json"] = event
    for name, value in values.items():
        text = text.replace(f"<{name}>", value if isinstance(value, str) else _text(value))
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(payload: Any) -> str:
    return msgspec.json.encode(payload).decode()


def _publish(topic: str, text: str) -> None:
    from moto.sns.models import sns_backends

    parts = topic.split(":")
    try:
        sns_backends[parts[4]][parts[3]].publish(text, arn=topic)
    except Exception as error:  # as on AWS, the one who put the event does not hear of it
        _log.warning("an event could not be published to %s: %s", topic, error)


def _leave_to_moto(
    original: Callable[..., None], rule: Any, target: Json, original_event: Json, transform_input: bool
) -> None:
    alone = copy.copy(rule)
    alone.targets = [target]
    alone.event_pattern = type(rule.event_pattern).load("{}")
    try:
        original(alone, copy.deepcopy(original_event), transform_input)
    except NotImplementedError:
        _log.warning("rule %s: targets such as %s are not reached here", rule.name, target["Arn"])
