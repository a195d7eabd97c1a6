"""ReceiveMessage: one call of the broker, and a wait for the next message where the queue is empty."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence

from millrace.aws import attributes as typed
from millrace.aws.attributes import Attribute
from millrace.aws.endpoint.call import Call
from millrace.aws.events.sqs import ENCODING_ATTRIBUTE
from millrace.aws.sqs.attributes import SHOWN
from millrace.aws.sqs.contents import TRACE
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError
from millrace.aws.sqs.limits import allowed, check_range, check_token
from millrace.aws.sqs.queue import SqsQueue
from millrace.aws.sqs.requests import ReceiveMessageRequest
from millrace.aws.sqs.results import Message, ReceiveMessageResult
from millrace.broker import DEAD_FROM_ATTRIBUTE, handle_of
from millrace.types import Lease
from millrace.types import Message as Stored

_SYSTEM = (
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    TRACE,
    "DeadLetterQueueSourceArn",
)
_KNOWN = frozenset({"All", *_SYSTEM, *SHOWN})  # `AttributeNames` may by AWS's model name a queue's attributes as well
_NONE = ReceiveMessageResult()


async def receive_message(desk: Desk, request: ReceiveMessageRequest, call: Call) -> ReceiveMessageResult:
    """Take up to ten messages, waiting for the first as long as was asked."""
    queue = desk.registry.at(request.queue_url)
    check_range(request.max_number_of_messages, "MaxNumberOfMessages", 1, 10)
    check_range(request.visibility_timeout, "VisibilityTimeout", 0, 43200)
    check_range(request.wait_time_seconds, "WaitTimeSeconds", 0, 20)
    system = _system_names(request)
    leases = await _leases(desk, queue, request)
    if not leases:
        return _NONE
    names = request.message_attribute_names or ()
    return ReceiveMessageResult(messages=[_message(desk, lease, system, names) for lease in leases])


async def _leases(desk: Desk, queue: SqsQueue, request: ReceiveMessageRequest) -> list[Lease]:
    attempt = request.receive_request_attempt_id
    if attempt is None or not queue.fifo:
        return await _take(desk, queue, request)
    check_token(attempt, "ReceiveRequestAttemptId")
    if before := desk.attempts.find(queue.name, attempt):
        lease_s = queue.declaration.lease_s if request.visibility_timeout is None else request.visibility_timeout
        return await desk.broker.extend(before, lease_s)
    leases = await _take(desk, queue, request)
    if leases:
        desk.attempts.note(queue.name, attempt, leases)
    return leases


async def _take(desk: Desk, queue: SqsQueue, request: ReceiveMessageRequest) -> list[Lease]:
    wait_s = queue.wait_s if request.wait_time_seconds is None else request.wait_time_seconds
    limit = min(request.max_number_of_messages or 1, await desk.in_flight.room(queue.name))
    if not limit:
        return await _none_to_give(desk, queue, wait_s)
    leases = await _within(desk, queue.name, limit, request.visibility_timeout, wait_s)
    desk.in_flight.given(queue.name, len(leases))
    return leases


async def _none_to_give(desk: Desk, queue: SqsQueue, wait_s: int) -> list[Lease]:
    """At the limit of messages in flight only who polls shortly, and no FIFO queue, is told. Raises SqsError."""
    if not queue.fifo and not wait_s:
        problem = f"Too many messages of {queue.name} are in flight: delete those that are done with."
        raise SqsError("OverLimit", problem)
    await desk.clock.sleep(wait_s)
    return []


async def _within(desk: Desk, queue: str, limit: int, lease_s: int | None, wait_s: int) -> list[Lease]:
    """The deadline counts from the call; a message that others were quicker to take only means more waiting."""
    leases = await desk.broker.take(queue, limit, lease_s=lease_s)
    deadline = desk.clock.monotonic() + wait_s
    while not leases and (left_s := deadline - desk.clock.monotonic()) > 0:
        await desk.broker.wait(queue, left_s)
        leases = await desk.broker.take(queue, limit, lease_s=lease_s)
    return leases


def _system_names(request: ReceiveMessageRequest) -> frozenset[str]:
    """The system attributes that were asked for. Raises SqsError for one that there is not."""
    names = {*(request.attribute_names or ()), *(request.message_system_attribute_names or ())}
    for name in names - _KNOWN:
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {name[:256]}.")
    return frozenset(_SYSTEM if "All" in names else names)


def _message(desk: Desk, lease: Lease, system: frozenset[str], names: Sequence[str]) -> Message:
    stored = lease.message
    body, attributes = _text(stored)
    shown = {name: value for name, value in attributes.items() if _asked(name, names)} if names else {}
    return Message(
        message_id=stored.id,
        receipt_handle=handle_of(lease.receipt),
        md5_of_body=hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        body=body,
        attributes=_system(desk, lease, system) if system else None,
        md5_of_message_attributes=typed.digest(shown) if shown else None,
        message_attributes=shown or None,
    )


def _text(stored: Stored) -> tuple[str, dict[str, Attribute]]:
    """The body as SQS can carry it: what is not text arrives as base64, and says so."""
    attributes = typed.read(stored) if stored.attributes else {}
    if allowed(stored.body):
        try:
            return stored.body.decode(), attributes
        except UnicodeDecodeError:
            pass
    return b64encode(stored.body).decode(), attributes | {ENCODING_ATTRIBUTE: typed.text("base64")}


def _asked(name: str, names: Sequence[str]) -> bool:
    """`All` and `.*` ask for everything, `foo.*` for what begins with `foo.`, anything else for itself."""
    return any(
        asked in ("All", ".*", name) or (asked.endswith(".*") and name.startswith(asked[:-1])) for asked in names
    )


def _system(desk: Desk, lease: Lease, names: frozenset[str]) -> dict[str, str] | None:
    stored = lease.message
    group = stored.group or stored.attributes.get(typed.GROUP_ATTRIBUTE)
    source = stored.attributes.get(DEAD_FROM_ATTRIBUTE)
    found = {
        "SenderId": desk.account,
        "SentTimestamp": _milliseconds(stored.sent_at),
        "ApproximateReceiveCount": str(lease.attempt),
        "ApproximateFirstReceiveTimestamp": _milliseconds(lease.first_taken_at or desk.clock.now()),
        "SequenceNumber": f"{lease.sequence:020d}" if stored.group else None,
        "MessageDeduplicationId": stored.attributes.get(typed.DEDUPE_ATTRIBUTE, stored.id) if stored.group else None,
        "MessageGroupId": group,
        TRACE: stored.attributes.get(typed.TRACE_ATTRIBUTE),
        "DeadLetterQueueSourceArn": desk.registry.arn(source) if source else None,
    }
    return {name: value for name, value in found.items() if value is not None and name in names} or None


def _milliseconds(at: float) -> str:
    return str(int(at * 1000))
