"""Events that are event source mappings, in CloudFormation's words, from which they are read on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.event_sources import add_mapping
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import below, items, text_of
from millrace.formats.nodes import node as made
from millrace.formats.serverless.events.asked import Asked

REPORT = "ReportBatchItemFailures"


def add(asked: Asked, arn: Node, names: Mapping[str, str]) -> None:
    """Give the function its event; `names` are CloudFormation's names of the event's own keys."""
    function = asked.reading.weave.section("functions")[asked.function]
    properties: dict[str, Any] = {"EventSourceArn": arn, "FunctionName": below(function, "name")}
    for theirs, property_name in names.items():
        if (found := asked.get(theirs)) is not None:
            properties[property_name] = asked.reading.resolve(found)
    patterns = [{"Pattern": asked.reading.resolve(each)} for each in items(asked.get("filterPatterns"))]
    if patterns:
        properties["FilterCriteria"] = {"Filters": patterns}
    if (answer := asked.get("functionResponseType")) is not None:
        if text_of(answer) != REPORT:
            asked.warn(answer, f"functionResponseType {answer.shown} is unknown", REPORT)
        properties["FunctionResponseTypes"] = [answer]
    if (concurrency := asked.get("maximumConcurrency")) is not None:
        properties["ScalingConfig"] = {"MaximumConcurrency": concurrency}
    if (target := asked.get("destinations", "onFailure")) is not None:
        destination = asked.reading.resolve(below(target, "arn") or target)
        properties["DestinationConfig"] = {"OnFailure": {"Destination": destination}}
    whole = made(properties, asked.node)
    add_mapping(
        asked.reading.weave, Resource(asked.where, "AWS::Lambda::EventSourceMapping", whole, whole, generated=True)
    )
