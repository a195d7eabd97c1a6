"""What of AWS is reached through moto here, and what of it lasts: read by the compatibility page and the start line."""

from __future__ import annotations

from typing import Literal

import msgspec


class Reach(msgspec.Struct, frozen=True):
    """One service: `how` far it is tied to the project, and a sentence on what that means."""

    service: str
    how: Literal["durable", "delivers", "memory"]
    note: str


MOTO_SERVICES: tuple[Reach, ...] = (
    Reach(
        "s3",
        "durable",
        "Objects are files before the answer goes out, and are loaded back; content type, user metadata and tags too."
        " So are buckets made at run time, with their region, tags, versioning, notifications, CORS, policy, encryption"
        " and ownership. Versions before the last, lifecycles, ACLs, locks and parts of unfinished uploads are in"
        " memory. Queues and topics are told of what comes through this API, `bucket:` events of every object.",
    ),
    Reach(
        "dynamodb",
        "durable",
        "Items are rows before the answer goes out, and are loaded back. So are tables made at run time, with their"
        " indexes, streams, tags and TTL; items do not expire. Backups, and tables of a stack or an import, are in"
        " memory. A transaction's deletions follow its writes in a second commit.",
    ),
    Reach("dynamodbstreams", "memory", "What boto3 reads of a stream begins with this start; `table:` events do not."),
    Reach(
        "sns",
        "delivers",
        "What is published reaches subscribed queues and functions durably. Topics and subscriptions of the project"
        " are made at each start; those made at run time are in memory.",
    ),
    Reach(
        "events",
        "delivers",
        "Rules send to queues, functions, topics, buses and log groups. Rules with a schedule do not come due: the"
        " project's `schedule:` events do. Rules made at run time are in memory.",
    ),
    Reach("logs", "memory", "Subscription filters reach functions."),
    Reach("secretsmanager", "memory", "Those of the project are made at each start."),
    Reach("ssm", "memory", "Parameters of the project are made at each start."),
    Reach("iam", "memory", "Recorded, never enforced."),
    Reach("sts", "memory", "Answers; the account is always the project's."),
    Reach("kms", "memory", "Keys are made anew at each start: what they encrypted cannot be read after it."),
    Reach("comprehend", "memory", "Fixed answers, unless the project replaces the call."),
    Reach("stepfunctions", "memory", "Executions are recorded, not run."),
    Reach("scheduler", "memory", "Schedules are recorded, and do not come due: the project's `schedule:` events do."),
    Reach("cloudwatch", "memory", "Metrics and alarms are recorded; alarms do not fire."),
)

SURVIVES = (
    "queues and their messages, S3's buckets and objects, DynamoDB's tables and items;"
    " everything else that is made through the endpoint lives until this process ends"
)
