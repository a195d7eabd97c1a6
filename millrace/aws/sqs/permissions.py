"""AddPermission and RemovePermission: statements of the queue's policy, which is kept and shown but not enforced.

Source: SQS API reference, AddPermission; SQS developer guide, "Using custom policies".
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError, invalid_value
from millrace.aws.sqs.queue import SqsQueue
from millrace.aws.sqs.requests import AddPermissionRequest, RemovePermissionRequest
from millrace.aws.sqs.settings import change

_MOST_ACTIONS = 7
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
ACTIONS = (
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
)


async def add_permission(desk: Desk, request: AddPermissionRequest, call: Call) -> None:
    """Add a statement by which accounts may do actions."""
    _check(request)
    async with desk.registry.lock:
        queue = desk.registry.at(request.queue_url)
        arn = desk.registry.arn(queue.name)
        policy = _policy(queue) or {"Version": "2008-10-17", "Id": f"{arn}/SQSDefaultPolicy", "Statement": []}
        statements = _statements(policy)
        if any(statement.get("Sid") == request.label for statement in statements):
            raise invalid_value(request.label, "Label", "Already exists.")
        policy["Statement"] = [*statements, _statement(request, arn)]
        await change(desk, queue, {"Policy": msgspec.json.encode(policy).decode()})


async def remove_permission(desk: Desk, request: RemovePermissionRequest, call: Call) -> None:
    """Take the statement with this label away."""
    async with desk.registry.lock:
        queue = desk.registry.at(request.queue_url)
        policy = _policy(queue)
        statements = _statements(policy)
        rest = [statement for statement in statements if statement.get("Sid") != request.label]
        if len(rest) == len(statements):
            raise invalid_value(request.label, "Label", "can't find label on existing policy.")
        text = msgspec.json.encode(policy | {"Statement": rest}).decode() if rest else ""
        await change(desk, queue, {"Policy": text})


def _check(request: AddPermissionRequest) -> None:
    if _LABEL.fullmatch(request.label) is None:
        reason = "It has 1 to 80 letters, digits, hyphens or underscores."
        raise invalid_value(request.label, "Label", reason)
    if len(request.actions) > _MOST_ACTIONS:
        problem = f"{len(request.actions)} Actions were found, maximum allowed is {_MOST_ACTIONS}."
        raise SqsError("OverLimit", problem)
    for action in request.actions or [""]:
        if action not in ACTIONS:
            raise invalid_value(action, "ActionName", f"Only {'|'.join(ACTIONS)} are allowed.")
    for account in request.aws_account_ids or [""]:
        if _ACCOUNT.fullmatch(account) is None:
            raise invalid_value(account, "PrincipalId", "Unable to verify.")


def _policy(queue: SqsQueue) -> dict[str, Any]:
    text = queue.kept.attributes.get("Policy", "")
    found: dict[str, Any] = msgspec.json.decode(text) if text else {}
    return found


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """A policy may have one statement in place of a list."""
    found = policy.get("Statement", [])
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)]


def _statement(request: AddPermissionRequest, arn: str) -> dict[str, Any]:
    principals = [f"arn:aws:iam::{account}:root" for account in request.aws_account_ids]
    actions = [f"SQS:{action}" for action in request.actions]
    return {
        "Sid": request.label,
        "Effect": "Allow",
        "Principal": {"AWS": principals[0] if len(principals) == 1 else principals},
        "Action": actions[0] if len(actions) == 1 else actions,
        "Resource": arn,
    }
