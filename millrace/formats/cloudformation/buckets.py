"""AWS::S3::Bucket → `buckets:`, and its notifications → `bucket:` events of functions."""

from __future__ import annotations

from millrace.config.tree import Node
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import below, items, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

BUCKET_KEYS: Keys = {
    "BucketName": Key("yes", "left out, it is <stack>-<LogicalId> in small letters"),
    "NotificationConfiguration": Key("yes"),
    "VersioningConfiguration": Key("partly", "by the local endpoint while it runs; one version is kept on disk"),
    "CorsConfiguration": Key("partly", "kept by the local endpoint, asked by nobody"),
    "LifecycleConfiguration": Key("partly", "kept by the local endpoint; nothing expires by itself"),
    "WebsiteConfiguration": Key("no", "no website is served"),
    "ReplicationConfiguration": Key("no", "nothing is replicated"),
    "AccessControl": Key("nothing to do"),
    "BucketEncryption": Key("nothing to do", "objects lie on your own disk"),
    "OwnershipControls": Key("nothing to do"),
    "PublicAccessBlockConfiguration": Key("nothing to do"),
    "LoggingConfiguration": Key("nothing to do"),
    "MetricsConfigurations": Key("nothing to do"),
    "AccelerateConfiguration": Key("nothing to do"),
    "IntelligentTieringConfigurations": Key("nothing to do"),
    "ObjectLockEnabled": Key("nothing to do"),
    "Tags": Key("nothing to do"),
}
NOTIFICATION_KEYS: Keys = {
    "LambdaConfigurations": Key("yes"),
    "QueueConfigurations": Key("yes", "by the local endpoint"),
    "TopicConfigurations": Key("yes", "by the local endpoint"),
    "EventBridgeConfiguration": Key("no", "S3's events do not reach a bus here"),
}
NOTIFICATION_EVENT_KEYS: Keys = {
    "s3:ObjectCreated:*": Key("yes"),
    "s3:ObjectCreated:Put": Key("partly", "any way in which an object is made counts"),
    "s3:ObjectCreated:Post": Key("partly", "any way in which an object is made counts"),
    "s3:ObjectCreated:Copy": Key("partly", "any way in which an object is made counts"),
    "s3:ObjectCreated:CompleteMultipartUpload": Key("partly", "any way in which an object is made counts"),
    "s3:ObjectRemoved:*": Key("yes"),
    "s3:ObjectRemoved:Delete": Key("partly", "any way in which an object goes counts"),
    "s3:ObjectRemoved:DeleteMarkerCreated": Key("partly", "any way in which an object goes counts"),
}
FOLDER = ".millrace/buckets"
_ON_AWS_ALONE = frozenset({"BucketName", "NotificationConfiguration", "AccessControl", "BucketEncryption", "Tags"})


def add_bucket(weave: Weave, resource: Resource) -> None:
    """Declare a bucket as a folder of the project."""
    weave.examine(resource, BUCKET_KEYS)
    if (name := weave.claim("buckets", resource)) is None:
        return
    weave.put(["buckets", name], folder_of(name), resource.properties)


def folder_of(name: str) -> dict[str, str]:
    """Where the objects of a foreign project's bucket lie."""
    return {"url": f"{FOLDER}/{name}", "poll": "200ms"}


def needs_endpoint(resource: Resource) -> bool:
    """Whether there is more to a bucket than its name and whom it calls, so that the endpoint must know it."""
    notifies = (below(resource.properties, "NotificationConfiguration", key) for key in ENDPOINTS_OWN)
    return any(each is not None for each in notifies) or not resource.properties.value.keys() <= _ON_AWS_ALONE


ENDPOINTS_OWN = ("QueueConfigurations", "TopicConfigurations")


def add_notifications(weave: Weave, resource: Resource) -> None:
    """Give the functions that a bucket calls their events; queues and topics are served by the endpoint."""
    configured = resource.get("NotificationConfiguration")
    if configured is None:
        return
    where = f"{resource.logical_id}.NotificationConfiguration"
    weave.examine_part(configured, NOTIFICATION_KEYS, where)
    name = weave.stack.name_of(resource.logical_id)
    for each in items(configured.child("LambdaConfigurations")):
        function = weave.function(each.child("Function"), where)
        if function is not None:
            pattern, on = bucket_pattern(name, each), created_or_removed(weave, each.child("Event") or each, where)
            if on is not None:
                weave.add_event(function, {"bucket": pattern, "on": on}, each)


def bucket_pattern(name: str, configured: Node) -> Node:
    """The bucket and the keys that a notification's prefix and suffix let pass: lake/incoming/**.jpg."""
    rules = below(configured, "Filter", "S3Key", "Rules")
    said = {text_of(rule.child("Name")).lower(): text_of(rule.child("Value")) for rule in items(rules)}
    prefix, suffix = said.get("prefix", ""), said.get("suffix", "")
    at = rules or configured
    return Node(f"{name}/{prefix}**{suffix}" if prefix or suffix else name, at.place, at.key_place)


def created_or_removed(weave: Weave, event: Node, where: str) -> str | None:
    """Which change an S3 event's name means; None, with a warning, where it never happens here."""
    kind = text_of(event)
    key = NOTIFICATION_EVENT_KEYS.get(kind)
    if key is None:
        weave.warn(event, f"{where}: {kind or 'an event without a name'} never happens here: left aside")
        return None
    if key.support == "partly":
        weave.warn(event, f"{where}: {kind} is understood in part: {key.note}")
    return "created" if kind.startswith("s3:ObjectCreated") else "removed"
