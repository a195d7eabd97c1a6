"""What a function needs to be allowed to do: said by its events, by its environment, and by its code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from millrace.config.faults import Place
from millrace.config.tree import Node
from millrace.formats.iam.calls import Call

_POLLING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
_STREAMING = ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream", "dynamodb:ListStreams")
_USING = {
    "sqs": ("sqs:SendMessage",),
    "dynamodb": ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"),
    "s3": ("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
    "sns": ("sns:Publish",),
}
# Actions whose resource is a bucket; every other of S3 speaks of objects.
_OF_BUCKETS = ("s3:ListBucket", "s3:ListAllMyBuckets")
# Calls that tell the caller about himself or need no resource.
_FREE = ("sts:GetCallerIdentity",)


class Need(NamedTuple):
    """Any one of these actions on a resource (an ARN, or * where its name is not known), why, and where it says so."""

    actions: tuple[str, ...]
    resource: str
    why: str
    place: Place


class Resources(NamedTuple):
    """What the project declares, by service, for which ARNs are made in this region and account."""

    region: str
    account: str
    queues: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    buckets: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()

    def arn(self, service: str, name: str) -> str:
        """The ARN of a queue, table, bucket or topic."""
        if service == "s3":
            return f"arn:aws:s3:::{name}"
        kind = "table/" if service == "dynamodb" else "function:" if service == "lambda" else ""
        return f"arn:aws:{service}:{self.region}:{self.account}:{kind}{name}"

    def found_in(self, value: str) -> tuple[str, str] | None:
        """The service and name of the resource that a variable's value names: by name, ARN or queue URL."""
        last = value.rpartition("/")[2].rpartition(":")[2]
        groups = {"sqs": self.queues, "dynamodb": self.tables, "s3": self.buckets, "sns": self.topics}
        for service, names in groups.items():
            if value in names or (last in names and (value.startswith(f"arn:aws:{service}:") or service == "sqs")):
                return service, last
        return None


def of_events(function: Node, resources: Resources) -> Iterator[Need]:
    """What the poller does in the function's name: it takes from queues and reads streams."""
    events = function.child("events")
    for event in events.value if events is not None and isinstance(events.value, list) else []:
        for key, service, actions in (("queue", "sqs", _POLLING), ("table", "dynamodb", _STREAMING)):
            named = event.child(key)
            if named is None or not isinstance(named.value, str):
                continue
            resource = resources.arn(service, named.value)
            resource += "/stream/*" if key == "table" else ""
            for action in actions:
                yield Need((action,), resource, f"its events come from the {key} {named.value}", named.place)


def of_environment(function: Node, resources: Resources) -> Iterator[Need]:
    """What variables that name a queue, table, bucket or topic of the project let expect."""
    sources = {named.value for named in _sources(function)}
    environment = function.child("environment")
    if environment is None or not isinstance(environment.value, dict):
        return
    for variable, node in environment.value.items():
        found = resources.found_in(node.value) if isinstance(node.value, str) else None
        if found is None or found[1] in sources:
            continue
        service, name = found
        for actions, resource in _uses(service, resources.arn(service, name)):
            yield Need(actions, resource, f"its variable {variable} names {name}", node.key_place)


def of_calls(calls: Iterable[Call], resources: Resources) -> Iterator[Need]:
    """What the code calls; where its text says the resource's name, on that resource."""
    for call in calls:
        if call.action in _FREE:
            continue
        service = call.action.partition(":")[0]
        place = Place(os.path.relpath(call.file), call.line, 1)
        resource = resources.arn(service, call.resource) if call.resource else "*"
        if service == "s3" and call.resource and call.action not in _OF_BUCKETS:
            resource += "/*"
        yield Need((call.action,), resource, f"its code calls {call.action}", place)


def _sources(function: Node) -> Iterator[Node]:
    events = function.child("events")
    for event in events.value if events is not None and isinstance(events.value, list) else []:
        for key in ("queue", "table"):
            if (named := event.child(key)) is not None:
                yield named


def _uses(service: str, arn: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Any one of the usual actions will do: which of them the code wants, its environment does not say."""
    if service == "s3":
        yield _USING["s3"], f"{arn}/*"
    else:
        yield _USING[service], arn
