"""AWS::Lambda::EventSourceMapping → `queue:` and `table:` events. Source: Lambda API, CreateEventSourceMapping."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.queues import external
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.tables import view_of
from millrace.formats.cloudformation.targets import destination
from millrace.formats.cloudformation.values import below, integer, is_false, items, measured, text_of, truth
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

MAPPING_KEYS: Keys = {
    "EventSourceArn": Key("yes", "SQS queues and DynamoDB streams; not Kinesis, MSK, MQ, DocumentDB"),
    "FunctionName": Key("yes"),
    "BatchSize": Key("yes", "10 for queues and 100 for streams where it is left out"),
    "MaximumBatchingWindowInSeconds": Key("yes"),
    "Enabled": Key("yes"),
    "FilterCriteria": Key("yes"),
    "FunctionResponseTypes": Key("yes"),
    "ScalingConfig": Key("yes"),
    "StartingPosition": Key("yes", "TRIM_HORIZON and LATEST"),
    "StartingPositionTimestamp": Key("no", "a stream begins at its oldest or at its latest change"),
    "BisectBatchOnFunctionError": Key("yes"),
    "MaximumRetryAttempts": Key("yes"),
    "MaximumRecordAgeInSeconds": Key("yes"),
    "DestinationConfig": Key("yes"),
    "ParallelizationFactor": Key("nothing to do", "order holds per key all the same"),
    "TumblingWindowInSeconds": Key("no", "there are no windows with a state"),
    "ProvisionedPollerConfig": Key("nothing to do"),
    "MetricsConfig": Key("nothing to do"),
    "KmsKeyArn": Key("nothing to do"),
    "Tags": Key("nothing to do"),
}
_MOST_BYTES = "6MB"  # of one invocation's payload
_BATCHES = {"sqs": 10, "dynamodb": 100}


def add_mapping(weave: Weave, resource: Resource) -> None:
    """Give a function its `queue:` or `table:` event."""
    weave.examine(resource, MAPPING_KEYS)
    source = resource.get("EventSourceArn")
    function = weave.function(resource.get("FunctionName"), resource.logical_id)
    if source is None or function is None:
        if source is None:
            weave.warn(resource.properties, f"{resource.logical_id} has no EventSourceArn: left aside")
        return
    arn = weave.arn(source, f"{resource.logical_id}.EventSourceArn")
    if arn is None:
        return
    if arn.service == "sqs":
        weave.declare("queues", arn.name, external(arn.name), source)
        weave.add_event(function, {"queue": _at(arn.name, source), **_queue_settings(weave, resource)}, source)
    elif arn.service == "dynamodb":
        weave.declare("tables", arn.name, {}, source)
        view = view_of(weave, arn.name)
        settings = _stream_settings(weave, resource) | ({"view": view} if view is not None else {})
        weave.add_event(function, {"table": _at(arn.name, source), **settings}, source)
    else:
        weave.warn(source, f"{resource.logical_id}: {arn.service} triggers nothing here: left aside")


def _queue_settings(weave: Weave, resource: Resource) -> dict[str, Any]:
    most = resource.get("ScalingConfig", "MaximumConcurrency")
    shared = _settings(weave, resource, "sqs")
    own = {"on_error": "batch", "retry": "lease", **({"concurrency": integer(most)} if most is not None else {})}
    return shared | own


def _stream_settings(weave: Weave, resource: Resource) -> dict[str, Any]:
    bisect = resource.get("BisectBatchOnFunctionError")
    found = _settings(weave, resource, "dynamodb")
    found["on_error"] = "bisect" if bisect is not None and truth(bisect).value is True else "batch"
    start = resource.get("StartingPosition")
    found["start"] = "latest" if text_of(start) == "LATEST" else "oldest"
    for key, word in (("MaximumRetryAttempts", "tries"), ("MaximumRecordAgeInSeconds", "max_age")):
        said = resource.get(key)
        if said is not None and integer(said).value != -1:
            found[word] = integer(said)
    target = below(resource.properties, "DestinationConfig", "OnFailure", "Destination")
    if target is not None and (where := destination(weave, target, f"{resource.logical_id}.OnFailure")):
        found["on_failure"] = where
    return found


def _settings(weave: Weave, resource: Resource, service: str) -> dict[str, Any]:
    """What queues and streams have in common."""
    size, window = resource.get("BatchSize"), resource.get("MaximumBatchingWindowInSeconds")
    batch: dict[str, Any] = {"size": _BATCHES[service] if size is None else integer(size), "bytes": _MOST_BYTES}
    if window is not None:
        batch["wait"] = measured(window, "s")
    answers = [text_of(each) for each in items(resource.get("FunctionResponseTypes"))]
    found: dict[str, Any] = {"batch": batch, "partial": "ReportBatchItemFailures" in answers}
    if is_false(resource.get("Enabled")):
        found["enabled"] = False
    patterns = [_pattern(weave, each, resource) for each in items(resource.get("FilterCriteria", "Filters"))]
    if any(pattern is not None for pattern in patterns):
        found["filter"] = [pattern for pattern in patterns if pattern is not None]
    return found


def _pattern(weave: Weave, written: Node, resource: Resource) -> Any:
    pattern = written.child("Pattern")
    if pattern is None:
        weave.refuse(written, f"{resource.logical_id}: a filter", "a Pattern", written.shown)
        return None
    return pattern if isinstance(pattern.value, dict) else weave.document(pattern, f"{resource.logical_id}: a Pattern")


def _at(name: str, found: Node) -> Node:
    return Node(name, found.place, found.key_place)
