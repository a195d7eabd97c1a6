"""`s3`: objects created or removed in a bucket, whose keys may have to begin and end as said."""

from __future__ import annotations

from millrace.config.tree import Node
from millrace.formats.cloudformation.buckets import bucket_pattern, created_or_removed
from millrace.formats.cloudformation.values import entries, items, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import node as made
from millrace.formats.nodes import text
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.targets import bucket

S3_KEYS: Keys = {
    "bucket": Key("yes"),
    "event": Key("partly", "s3:ObjectCreated:* and s3:ObjectRemoved:*; how an object was created is not told apart"),
    "rules": Key("yes", "prefix and suffix"),
    "existing": Key("yes"),
    "forceDeploy": Key("nothing to do"),
}


def read_s3(asked: Asked) -> None:
    """One `bucket` event; none, with a warning, for events that buckets here do not have."""
    asked.examine({**S3_KEYS, "event": Key("yes")})
    source = asked.get("bucket") if isinstance(asked.node.value, dict) and "bucket" in asked.node.value else asked.node
    if source is None:
        asked.refuse("a bucket's name")
        return
    source = _named_by(asked, source)
    name = bucket(source, asked.where, asked.reading)
    kind = asked.get("event") or text("s3:ObjectCreated:*", asked.node)
    change = created_or_removed(asked.reading.weave, kind, asked.where)
    if name is not None and change is not None:
        asked.add({"bucket": _pattern(asked, name), "on": change})


def _named_by(asked: Asked, source: Node) -> Node:
    """The bucket's name where it is only the key of a bucket under provider.s3."""
    name = asked.reading.buckets.get(text_of(source))
    return source if name is None else text(name, source)


def _pattern(asked: Asked, name: str) -> Node:
    """The bucket, and what its objects' names begin and end with."""
    rules = [
        {"Name": key, "Value": asked.reading.resolve(value)}
        for rule in items(asked.get("rules"))
        for key, value in entries(rule)
    ]
    return bucket_pattern(name, made({"Filter": {"S3Key": {"Rules": rules}}}, asked.get("rules") or asked.node))
