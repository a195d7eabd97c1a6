"""AWS::Events::Rule and AWS::Scheduler::Schedule → `schedule:` and `bus:` events."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.arns import parse_arn
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import items, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

RULE_KEYS: Keys = {
    "Name": Key("yes"),
    "Description": Key("nothing to do"),
    "EventBusName": Key("yes"),
    "EventPattern": Key("yes"),
    "ScheduleExpression": Key("yes"),
    "State": Key("yes"),
    "Targets": Key("yes", "functions; others are left to the local endpoint"),
    "RoleArn": Key("nothing to do"),
    "Tags": Key("nothing to do"),
}
TARGET_KEYS: Keys = {
    "Arn": Key("yes"),
    "Id": Key("yes"),
    "Input": Key("yes"),
    "InputPath": Key("yes"),
    "InputTransformer": Key("no", "the whole event is handed over"),
    "DeadLetterConfig": Key("no", "the function's own tries and dead letters count"),
    "RetryPolicy": Key("no", "the function's own tries and dead letters count"),
    "RoleArn": Key("nothing to do"),
    "SqsParameters": Key("partly", "left to the local endpoint"),
}
SCHEDULE_KEYS: Keys = {
    "Name": Key("yes"),
    "ScheduleExpression": Key("yes", "rate and cron; not at(...), a moment that comes once"),
    "State": Key("yes"),
    "Target": Key("yes", "functions"),
    "FlexibleTimeWindow": Key("nothing to do", "schedules fire at their moment"),
    "GroupName": Key("nothing to do"),
    "Description": Key("nothing to do"),
    "KmsKeyArn": Key("nothing to do"),
    "ScheduleExpressionTimezone": Key("partly", "schedules are read in UTC"),
    "StartDate": Key("no", "a schedule holds as long as the project runs"),
    "EndDate": Key("no", "a schedule holds as long as the project runs"),
}


def add_rule(weave: Weave, resource: Resource) -> None:
    """Give each function that a rule targets its `schedule:` or `bus:` event."""
    weave.examine(resource, RULE_KEYS)
    for target in items(resource.get("Targets")):
        where = f"{resource.logical_id}.Targets"
        if not resource.generated:
            weave.examine_part(target, TARGET_KEYS, where)
        if not _calls_function(target):
            continue
        function = weave.function(target.child("Arn"), where)
        if function is not None:
            _add_schedule(weave, resource, target, function)
            _add_pattern(weave, resource, target, function)


def has_other_targets(resource: Resource) -> bool:
    """Whether a rule has targets besides functions, which the endpoint serves."""
    return any(not _calls_function(target) for target in items(resource.get("Targets")))


def add_schedule(weave: Weave, resource: Resource) -> None:
    """Give the function that an EventBridge Scheduler schedule calls its `schedule:` event."""
    weave.examine(resource, SCHEDULE_KEYS)
    target, rule = resource.get("Target"), resource.get("ScheduleExpression")
    if target is None or rule is None:
        weave.refuse(resource.properties, f"{resource.logical_id} lacks its Target or ScheduleExpression")
        return
    if text_of(rule).startswith("at("):
        weave.warn(rule, f"{resource.logical_id}: a moment that comes once: left aside", "rate(...) or cron(...)")
        return
    if not _calls_function(target):
        weave.warn(target, f"{resource.logical_id}: only functions are called by schedules here: left aside")
        return
    function = weave.function(target.child("Arn"), resource.logical_id)
    if function is not None:
        _add_schedule(weave, resource, target, function)


def _add_schedule(weave: Weave, resource: Resource, target: Node, function: str) -> None:
    rule = resource.get("ScheduleExpression")
    if rule is not None and rule.value is not None:
        said = _input(weave, target, resource)
        enabled = {"enabled": False} if text_of(resource.get("State")).startswith("DISABLED") else {}
        weave.add_event(function, {"schedule": rule, **said, **enabled}, rule)


def _add_pattern(weave: Weave, resource: Resource, target: Node, function: str) -> None:
    pattern = resource.get("EventPattern")
    if pattern is None or pattern.value is None:
        return
    if text_of(resource.get("State")).startswith("DISABLED"):
        weave.warn(pattern, f"{resource.logical_id} is disabled: left aside")
        return
    bus = resource.get("EventBusName")
    arn = parse_arn(text_of(bus))
    name = arn.name if arn is not None else text_of(bus) or "default"
    said: dict[str, Any] = {"bus": name, "pattern": weave.document(pattern, resource.logical_id)}
    if isinstance(pattern.value, dict):
        said["pattern"] = pattern
    weave.add_event(function, said | _input(weave, target, resource), pattern)


def _input(weave: Weave, target: Node, resource: Resource) -> dict[str, Any]:
    """The event that a handler gets instead, as the rule has it in JSON text, or the part of the event."""
    written, path = target.child("Input"), target.child("InputPath")
    if written is None or written.value is None:
        return {} if path is None or path.value is None else {"input_path": path}
    return {"input": weave.document(written, f"{resource.logical_id}: Input")}


def _calls_function(target: Node) -> bool:
    arn = parse_arn(text_of(target.child("Arn")))
    return arn is None or arn.service == "lambda"
