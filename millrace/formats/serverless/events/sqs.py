"""`sqs`: a queue's messages, as AWS's event source mapping gives them."""

from __future__ import annotations

from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.events import mapping
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.targets import queue

SQS_KEYS: Keys = {
    "arn": Key("yes", "a text, Fn::GetAtt, Ref, Fn::Join, Fn::Sub, Fn::ImportValue; also a queue's name or URL"),
    "batchSize": Key("yes", "10 without it"),
    "maximumBatchingWindow": Key("yes"),
    "enabled": Key("yes"),
    "functionResponseType": Key("yes", "ReportBatchItemFailures"),
    "filterPatterns": Key("yes"),
    "maximumConcurrency": Key("yes"),
    "provisionedPollerConfig": Key("nothing to do"),
    "metricsConfig": Key("nothing to do"),
    "tags": Key("nothing to do"),
}


_NAMES = {"batchSize": "BatchSize", "maximumBatchingWindow": "MaximumBatchingWindowInSeconds", "enabled": "Enabled"}


def read_sqs(asked: Asked) -> None:
    """One `queue` event."""
    asked.examine(SQS_KEYS)
    source = asked.get("arn") or asked.node
    name = queue(source, asked.where, asked.reading, asked.timeout_s)
    if name is not None:
        arn = asked.reading.weave.stack.surroundings.arn("sqs", name)
        mapping.add(asked, text(arn, source), _NAMES)
