"""AWS::SQS::Queue → `queues:`."""

from __future__ import annotations

import json
from typing import Any

from millrace.config.tree import Node
from millrace.formats.arns import parse_arn
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import document, integer, is_true, text_of, truth
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import node

# What SQS gives a queue of which nothing is said: SQS API reference, CreateQueue.
DEFAULTS = {"lease": 30, "max_receives": "unlimited", "ttl": "4d", "dedupe": "5m"}

QUEUE_KEYS: Keys = {
    "QueueName": Key("yes", "left out, it is <stack>-<LogicalId>"),
    "VisibilityTimeout": Key("yes"),
    "DelaySeconds": Key("yes"),
    "MessageRetentionPeriod": Key("yes", "what is too old goes to <queue>.dead; nothing disappears by itself"),
    "MaximumMessageSize": Key("yes"),
    "ReceiveMessageWaitTimeSeconds": Key("yes"),
    "RedrivePolicy": Key("yes"),
    "RedriveAllowPolicy": Key("yes"),
    "FifoQueue": Key("yes"),
    "ContentBasedDeduplication": Key("yes"),
    "DeduplicationScope": Key("yes"),
    "FifoThroughputLimit": Key("nothing to do", "nothing is throttled"),
    "KmsMasterKeyId": Key("nothing to do", "messages lie on your own disk"),
    "KmsDataKeyReusePeriodSeconds": Key("nothing to do"),
    "SqsManagedSseEnabled": Key("nothing to do"),
    "Tags": Key("nothing to do"),
}
_TIMES = {"VisibilityTimeout": "lease", "DelaySeconds": "delay", "MessageRetentionPeriod": "ttl"}
_ATTRIBUTES = (
    "MaximumMessageSize",
    "ReceiveMessageWaitTimeSeconds",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "RedriveAllowPolicy",
)


def add_queue(weave: Weave, resource: Resource) -> None:
    """Declare a queue with its attributes and where its dead letters go."""
    weave.examine(resource, QUEUE_KEYS)
    if (name := weave.claim("queues", resource)) is None:
        return
    weave.put(["queues", name], dict(DEFAULTS), resource.properties)
    for key, word in _TIMES.items():
        if (found := resource.get(key)) is not None:
            weave.put(["queues", name, word], integer(found), found)
    fifo = resource.get("FifoQueue")
    if fifo is not None:
        weave.put(["queues", name, "fifo"], truth(fifo), fifo)
    if is_true(fifo) and not name.endswith(".fifo"):
        named = resource.get("QueueName") or resource.properties
        weave.refuse(named, "the name of a FIFO queue ends in .fifo", repr(f"{name}.fifo"), repr(name))
    for key in _ATTRIBUTES:
        if (found := resource.get(key)) is not None:
            weave.put(["queues", name, "attributes", key], _attribute(found), found)


def add_redrive(weave: Weave, resource: Resource) -> None:
    """Say where a queue's dead letters go, all queues being declared."""
    policy = resource.get("RedrivePolicy")
    if policy is None or policy.value is None:
        return
    name = weave.stack.name_of(resource.logical_id)
    said, problem = document(policy)
    if not isinstance(said, dict) or not {"deadLetterTargetArn", "maxReceiveCount"} <= said.keys():
        expected = "deadLetterTargetArn and maxReceiveCount"
        weave.refuse(policy, f"{resource.logical_id}: RedrivePolicy", expected, problem or policy.shown)
        return
    target = policy.child("deadLetterTargetArn") or policy
    arn = parse_arn(str(said["deadLetterTargetArn"]))
    if arn is None or arn.service != "sqs":
        weave.refuse(target, f"{resource.logical_id}: deadLetterTargetArn", "a queue's ARN", target.shown)
        return
    weave.declare("queues", arn.name, external(arn.name), target)
    weave.put(["queues", name, "dead"], arn.name, target)
    most = policy.child("maxReceiveCount") or node(said["maxReceiveCount"], policy)
    weave.put(["queues", name, "max_receives"], integer(most), most)


def external(name: str) -> dict[str, Any]:
    """A queue that is spoken of and declared nowhere, as SQS makes one by default."""
    return DEFAULTS | ({"fifo": True} if name.endswith(".fifo") else {})


def _attribute(found: Node) -> str:
    if isinstance(found.value, bool):
        return "true" if found.value else "false"
    if isinstance(found.value, dict | list):
        return json.dumps(found.plain(), separators=(",", ":"))
    return text_of(found)
