"""AWS::SNS::Topic and AWS::SNS::Subscription → `topics:` and `topic:` events."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.queues import external
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import is_true, items, text_of, truth
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import append

TOPIC_KEYS: Keys = {
    "TopicName": Key("yes", "left out, it is <stack>-<LogicalId>"),
    "Subscription": Key("yes"),
    "FifoTopic": Key("yes"),
    "ContentBasedDeduplication": Key("partly", "the queues' own setting counts"),
    "DisplayName": Key("nothing to do"),
    "KmsMasterKeyId": Key("nothing to do"),
    "DeliveryStatusLogging": Key("nothing to do"),
    "TracingConfig": Key("nothing to do"),
    "SignatureVersion": Key("nothing to do"),
    "FifoThroughputScope": Key("nothing to do"),
    "DataProtectionPolicy": Key("no", "texts are published as they are"),
    "ArchivePolicy": Key("no", "nothing is archived"),
    "Tags": Key("nothing to do"),
}
SUBSCRIPTION_KEYS: Keys = {
    "TopicArn": Key("yes"),
    "Protocol": Key("partly", "lambda and sqs; nothing is sent by mail, SMS or HTTP"),
    "Endpoint": Key("yes"),
    "FilterPolicy": Key("yes"),
    "FilterPolicyScope": Key("yes"),
    "RawMessageDelivery": Key("yes"),
    "Region": Key("nothing to do"),
    "RedrivePolicy": Key("nothing to do", "what is published reaches its queue in one step"),
    "DeliveryPolicy": Key("nothing to do"),
    "SubscriptionRoleArn": Key("nothing to do"),
    "ReplayPolicy": Key("no", "nothing is archived"),
}
_PARTLY = frozenset({"Protocol"})  # told only of the protocols that reach nobody


def add_topic(weave: Weave, resource: Resource) -> None:
    """Declare a topic."""
    weave.examine(resource, TOPIC_KEYS)
    if (name := weave.claim("topics", resource)) is None:
        return
    fifo = resource.get("FifoTopic")
    weave.put(["topics", name], {} if fifo is None else {"fifo": truth(fifo)}, resource.properties)


def add_own_subscriptions(weave: Weave, resource: Resource) -> None:
    """Subscribe whom a topic itself names."""
    for each in items(resource.get("Subscription")):
        subscribe(weave, weave.stack.name_of(resource.logical_id), each, resource.logical_id)


def add_subscription(weave: Weave, resource: Resource) -> None:
    """Subscribe a function or a queue to a topic."""
    known = {key: value for key, value in SUBSCRIPTION_KEYS.items() if key not in _PARTLY}
    weave.examine(resource, known | {key: Key("yes") for key in _PARTLY})
    topic = resource.get("TopicArn")
    if topic is None:
        weave.refuse(resource.properties, f"{resource.logical_id} has no TopicArn", "the ARN of a topic")
        return
    arn = weave.arn(topic, f"{resource.logical_id}.TopicArn")
    if arn is not None:
        weave.declare("topics", arn.name, {}, topic)
        subscribe(weave, arn.name, resource.properties, resource.logical_id)


def subscribe(weave: Weave, topic: str, configured: Node, where: str) -> None:
    """Give a function its `topic:` event, or a topic its queue."""
    protocol, endpoint = text_of(configured.child("Protocol")), configured.child("Endpoint")
    if endpoint is None:
        weave.refuse(configured, f"{where}: a subscription has no Endpoint", "an ARN")
        return
    said: dict[str, Any] = {}
    if (policy := configured.child("FilterPolicy")) is not None and policy.value is not None:
        said["filter"] = policy if isinstance(policy.value, dict) else weave.document(policy, f"{where}: FilterPolicy")
    if (scope := configured.child("FilterPolicyScope")) is not None:
        said["scope"] = scope
    if protocol == "lambda":
        if (function := weave.function(endpoint, where)) is not None:
            weave.add_event(function, {"topic": topic, **said}, endpoint)
    elif protocol == "sqs":
        if (arn := weave.arn(endpoint, where)) is None:
            return
        weave.declare("queues", arn.name, external(arn.name), endpoint)
        raw = is_true(configured.child("RawMessageDelivery"))
        queue = {"queue": arn.name, **said, **({"raw": True} if raw else {})}
        append(weave.tree, ["topics", topic, "queues"], queue, endpoint)
    else:
        weave.warn(endpoint, f"{where}: nothing is sent by {protocol or 'a protocol without a name'} here: left aside")
