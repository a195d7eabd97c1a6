"""`${construct:jobs.queueUrl}` of serverless-lift → a reference to one of the resources that the construct makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import md5
from typing import Any

from millrace.config.faults import nearest, one_of
from millrace.config.tree import Node
from millrace.formats.nodes import node as made
from millrace.formats.serverless.variables.answers import Ask, Missing, as_text

QUEUE, STORAGE, TABLE = "queue", "storage", "database/dynamodb-single-table"
# By a construct's type: its variables, each as the part that it speaks of and that part's attribute, "" for Ref.
CONSTRUCT_VARIABLES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    QUEUE: {
        "queueUrl": ("Queue", ""),
        "queueArn": ("Queue", "Arn"),
        "queueName": ("Queue", "QueueName"),
        "dlqUrl": ("Dlq", ""),
        "dlqArn": ("Dlq", "Arn"),
    },
    STORAGE: {"bucketName": ("Bucket", ""), "bucketArn": ("Bucket", "Arn")},
    TABLE: {"tableName": ("Table", ""), "tableArn": ("Table", "Arn"), "tableStreamArn": ("Table", "StreamArn")},
}


def part_id(construct: str, part: str) -> str:
    """The logical id of a construct's queue, bucket or table, as the CDK makes it."""
    mark = md5(f"{construct}/{part}/Resource".encode(), usedforsecurity=False).hexdigest()[:8].upper()
    return re.sub(r"[^A-Za-z0-9]", "", construct) + part + mark


def reference(ask: Ask, kind: Node | Missing) -> Node | Missing:
    """What a variable of a construct stands for; `kind` is the construct's type."""
    if isinstance(kind, Missing):
        return kind
    construct, _, name = ask.key.partition(".")
    known = CONSTRUCT_VARIABLES.get(as_text(kind.value), {})
    if name not in known:
        what = f"${{{ask.shown}}} is no variable of the construct"
        return Missing(what, one_of(list(known)), nearest(name, known))
    part, attribute = known[name]
    id = part_id(construct, part)
    found: dict[str, Any] = {"Fn::GetAtt": [id, attribute]} if attribute else {"Ref": id}
    return made(found, ask.site)
