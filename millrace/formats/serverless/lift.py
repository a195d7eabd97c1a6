"""`constructs` of serverless-lift: queues with their workers, buckets and tables, as the resources that lift makes.

Names, defaults and logical ids as lift 1 has them: its documentation of each construct, and the CDK's logical ids
(the construct's path without signs, and eight digits of the MD5 of the path).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from millrace.config.faults import nearest, one_of
from millrace.config.tree import Node, overlay
from millrace.formats.cloudformation.values import below, entries, integer, is_false, is_true, items, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import node as made
from millrace.formats.serverless.events.mapping import REPORT
from millrace.formats.serverless.ledger import Ledger
from millrace.formats.serverless.variables.constructs import QUEUE, STORAGE, TABLE, part_id

_DEFAULT_TIMEOUT_S = 6  # lift looks at the worker alone, and not at the provider's timeout
_TIMES_OF_TIMEOUT = 6
_RETRIES = 3
_DEAD_RETENTION_S = 14 * 24 * 3600
_LOCAL_INDEXES = 5

CONSTRUCT_KEYS: Keys = {
    QUEUE: Key("yes", "the queue, its dead letters, the worker"),
    STORAGE: Key("yes", "the bucket"),
    TABLE: Key("yes", "the table with its indexes and stream"),
    "webhook": Key("no", "use an httpApi event"),
    "single-page-app": Key("no", "there is no edge here"),
    "static-website": Key("no", "there is no edge here"),
    "server-side-website": Key("no", "there is no edge here"),
    "vpc": Key("nothing to do", "the network is your own"),
}
QUEUE_KEYS: Keys = {
    "type": Key("yes"),
    "worker": Key("yes", "a function, or the key of one"),
    "batchSize": Key("yes", "1 without it"),
    "maxBatchingWindow": Key("yes"),
    "maxConcurrency": Key("yes"),
    "maxRetries": Key("yes", "3 without it"),
    "fifo": Key("yes"),
    "delay": Key("yes"),
    "extensions": Key("yes", "queue and dlq"),
    "alarm": Key("nothing to do", "`millrace dead` shows what failed"),
    "encryption": Key("nothing to do", "messages lie on your own disk"),
    "encryptionKey": Key("nothing to do"),
    "encryptionKeyArn": Key("nothing to do"),
}
STORAGE_KEYS: Keys = {
    "type": Key("yes"),
    "extensions": Key("yes", "bucket"),
    "archive": Key("nothing to do"),
    "encryption": Key("nothing to do"),
    "allowAcl": Key("nothing to do"),
    "lifecycleRules": Key("no", "objects stay until they are deleted"),
    "publicPath": Key("no", "objects are not served to browsers"),
    "cors": Key("no", "objects are not served to browsers"),
}
TABLE_KEYS: Keys = {
    "type": Key("yes"),
    "gsiCount": Key("yes"),
    "localSecondaryIndexes": Key("yes"),
    "extensions": Key("yes", "table"),
}
LIFT_KEYS: Keys = {"automaticPermissions": Key("yes", "compared with what functions do, never enforced")}
_BUCKET_ACTIONS = ("PutObject", "GetObject", "DeleteObject", "ListBucket", "GetObjectTagging", "PutObjectTagging")
_TABLE_ACTIONS = (
    *("GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "DeleteItem", "BatchWriteItem", "UpdateItem"),
)


class Lifted(msgspec.Struct):
    """What constructs make: CloudFormation resources by logical id, functions by key, statements of the shared role."""

    functions: dict[str, Node]
    resources: dict[str, Node] = msgspec.field(default_factory=dict)
    statements: list[Node] = msgspec.field(default_factory=list)


def lift(constructs: Node | None, settings: Node | None, functions: Mapping[str, Node], ledger: Ledger) -> Lifted:
    """The functions with those of the constructs; a warning for each construct that does not run here."""
    lifted = Lifted(dict(functions))
    ledger.examine(settings, LIFT_KEYS, "lift")
    for name, construct in entries(constructs):
        kind = text_of(below(construct, "type"))
        key = CONSTRUCT_KEYS.get(kind)
        if kind in _MAKERS:
            keys, make = _MAKERS[kind]
            ledger.examine(construct, keys, f"constructs.{name}")
            make(name, construct, lifted, ledger)
            continue
        ledger.count(key is not None and key.support == "nothing to do")
        if key is None:
            near, known = nearest(kind, CONSTRUCT_KEYS), one_of(list(_MAKERS))
            ledger.warn(construct, f"constructs.{name}: its type is not understood: left aside", known, kind, near)
        elif key.support == "no":
            ledger.warn(construct, f"constructs.{name}: {kind} does not run here: {key.note}")
    if is_false(below(settings, "automaticPermissions")):
        lifted.statements.clear()
    return lifted


def _queue(name: str, construct: Node, lifted: Lifted, ledger: Ledger) -> None:
    key, worker = _worker(name, construct, lifted, ledger)
    if worker is None:
        return
    fifo = is_true(below(construct, "fifo"))
    ending = ".fifo" if fifo else ""
    queue, dead = part_id(name, "Queue"), part_id(name, "Dlq")
    base = "${AWS::StackName}-" + name
    policy = {"deadLetterTargetArn": _arn(dead), "maxReceiveCount": below(construct, "maxRetries") or _RETRIES}
    properties: dict[str, Any] = {
        "QueueName": {"Fn::Sub": f"{base}{ending}"},
        "VisibilityTimeout": _visibility_s(construct, worker),
        "RedrivePolicy": policy,
        **({"FifoQueue": True, "ContentBasedDeduplication": True} if fifo else {}),
        **_said(construct, {"delay": "DelaySeconds"}),
    }
    dead_properties = {
        "QueueName": {"Fn::Sub": f"{base}-dlq{ending}"},
        "MessageRetentionPeriod": _DEAD_RETENTION_S,
        **({"FifoQueue": True} if fifo else {}),
    }
    _add(lifted, queue, "AWS::SQS::Queue", properties, construct, "queue")
    _add(lifted, dead, "AWS::SQS::Queue", dead_properties, construct, "dlq")
    event = {
        "arn": _arn(queue),
        "batchSize": below(construct, "batchSize") or 1,
        "functionResponseType": REPORT,
        **_said(construct, {"maxBatchingWindow": "maximumBatchingWindow", "maxConcurrency": "maximumConcurrency"}),
    }
    events = Node([*items(below(worker, "events")), made({"sqs": event}, construct)], worker.place, worker.key_place)
    lifted.functions[key] = Node({**worker.value, "events": events}, worker.place, worker.key_place)
    _allow(lifted, ("sqs:SendMessage", "sqs:ChangeMessageVisibility"), [_arn(queue)], construct)


def _worker(name: str, construct: Node, lifted: Lifted, ledger: Ledger) -> tuple[str, Node | None]:
    """The worker's key and what is written of it; None, once told, where there is none."""
    worker = below(construct, "worker")
    where = f"constructs.{name}.worker"
    if worker is None or not isinstance(worker.value, dict | str):
        ledger.refuse(worker or construct, where, "a mapping with a handler", "nothing" if worker is None else "")
        return "", None
    if isinstance(worker.value, dict):
        return f"{name}Worker", worker
    key = text_of(worker)
    if key not in lifted.functions:
        near = nearest(key, lifted.functions)
        ledger.refuse(worker, where, one_of(list(lifted.functions), near) or "a function", worker.shown, near)
    return key, lifted.functions.get(key)


def _visibility_s(construct: Node, worker: Node) -> int:
    timeout = integer(below(worker, "timeout") or made(_DEFAULT_TIMEOUT_S, worker)).value
    window = integer(below(construct, "maxBatchingWindow") or made(0, construct)).value
    timeout_s = timeout if isinstance(timeout, int) else _DEFAULT_TIMEOUT_S
    return _TIMES_OF_TIMEOUT * timeout_s + (window if isinstance(window, int) else 0)


def _storage(name: str, construct: Node, lifted: Lifted, ledger: Ledger) -> None:
    bucket = part_id(name, "Bucket")
    _add(lifted, bucket, "AWS::S3::Bucket", {}, construct, "bucket")
    objects = {"Fn::Sub": f"${{{bucket}.Arn}}/*"}
    _allow(lifted, [f"s3:{each}" for each in _BUCKET_ACTIONS], [_arn(bucket), objects], construct)


def _table(name: str, construct: Node, lifted: Lifted, ledger: Ledger) -> None:
    count = integer(below(construct, "gsiCount") or made(0, construct)).value
    shared = [f"GSI-{n}" for n in range(1, 1 + min(count if isinstance(count, int) else 0, 20))]
    local = (
        [f"LSI-{n}" for n in range(1, 1 + _LOCAL_INDEXES)] if is_true(below(construct, "localSecondaryIndexes")) else []
    )
    fields = ["PK", "SK", *(f"{each}-{end}" for each in shared for end in ("PK", "SK")), *(f"{e}-SK" for e in local)]
    properties: dict[str, Any] = {
        "KeySchema": _keys("PK", "SK"),
        "AttributeDefinitions": [{"AttributeName": each, "AttributeType": "S"} for each in fields],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
        "TimeToLiveSpecification": {"AttributeName": "TimeToLive", "Enabled": True},
    }
    if shared:
        properties["GlobalSecondaryIndexes"] = [_index(each, f"{each}-PK") for each in shared]
    if local:
        properties["LocalSecondaryIndexes"] = [_index(each, "PK") for each in local]
    table = part_id(name, "Table")
    _add(lifted, table, "AWS::DynamoDB::Table", properties, construct, "table")
    indexes = {"Fn::Sub": f"${{{table}.Arn}}/index/*"}
    _allow(lifted, [f"dynamodb:{each}" for each in _TABLE_ACTIONS], [_arn(table), indexes], construct)


_MAKERS = {QUEUE: (QUEUE_KEYS, _queue), STORAGE: (STORAGE_KEYS, _storage), TABLE: (TABLE_KEYS, _table)}


def _index(name: str, key: str) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": _keys(key, f"{name}-SK"), "Projection": {"ProjectionType": "ALL"}}


def _keys(key: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": key, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _add(lifted: Lifted, id: str, kind: str, properties: dict[str, Any], construct: Node, extension: str) -> None:
    """A resource, with what the construct's `extensions` add to it."""
    resource = made({"Type": kind, "Properties": properties}, construct)
    extra = below(construct, "extensions", extension)
    lifted.resources[id] = resource if extra is None else overlay(resource, extra)


def _allow(lifted: Lifted, actions: Any, resources: list[Any], construct: Node) -> None:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    lifted.statements.append(made(statement, construct))


def _said(construct: Node, names: Mapping[str, str]) -> dict[str, Node]:
    """The construct's own keys under other names, where they are written."""
    return {theirs: found for ours, theirs in names.items() if (found := below(construct, ours)) is not None}


def _arn(id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [id, "Arn"]}
