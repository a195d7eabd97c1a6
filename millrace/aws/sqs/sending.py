"""SendMessage and SendMessageBatch: check each message, put all that are sound in one call of the broker."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from millrace.aws import attributes as typed
from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.attributes import MAX_BYTES
from millrace.aws.sqs.batches import Failures, told
from millrace.aws.sqs.contents import check_attributes, check_system
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError, invalid, invalid_value, missing
from millrace.aws.sqs.limits import allowed, check_entries, check_range, check_token
from millrace.aws.sqs.queue import SqsQueue
from millrace.aws.sqs.requests import Sending, SendMessageBatchRequest, SendMessageRequest
from millrace.aws.sqs.results import SendMessageBatchResult, SendMessageBatchResultEntry, SendMessageResult
from millrace.ids import new_uuid
from millrace.types import Accepted, Message, Put


class Letter(NamedTuple):
    """A message on its way, and the digests by which its sender can tell that it arrived whole."""

    put: Put
    size: int  # bytes, attributes included
    md5_of_body: str
    md5_of_attributes: str | None
    md5_of_system: str | None


async def send_message(desk: Desk, request: SendMessageRequest, call: Call) -> SendMessageResult:
    """Store one message, durably."""
    queue = desk.registry.at(request.queue_url)
    letter = _letter(queue, request, desk.clock.now())
    (accepted,) = await desk.broker.put([letter.put])
    return SendMessageResult(
        message_id=accepted.id,
        md5_of_message_body=letter.md5_of_body,
        md5_of_message_attributes=letter.md5_of_attributes,
        md5_of_message_system_attributes=letter.md5_of_system,
        sequence_number=_sequence(queue, accepted),
    )


async def send_message_batch(desk: Desk, request: SendMessageBatchRequest, call: Call) -> SendMessageBatchResult:
    """Store those messages of a batch that are sound, all of them or none, durably."""
    queue = desk.registry.at(request.queue_url)
    check_entries(request.entries, "SendMessageBatchRequestEntry")
    letters: dict[str, Letter] = {}
    failures: Failures = {}
    now = desk.clock.now()
    for entry in request.entries:
        try:
            letters[entry.id] = _letter(queue, entry, now)
        except SqsError as error:
            failures[entry.id] = error
    _check_total([letter.size for letter in letters.values()])
    accepted = await desk.broker.put([letter.put for letter in letters.values()]) if letters else []
    sent = [
        SendMessageBatchResultEntry(
            id=id,
            message_id=answer.id,
            md5_of_message_body=letter.md5_of_body,
            md5_of_message_attributes=letter.md5_of_attributes,
            md5_of_message_system_attributes=letter.md5_of_system,
            sequence_number=_sequence(queue, answer),
        )
        for (id, letter), answer in zip(letters.items(), accepted, strict=True)
    ]
    return SendMessageBatchResult(successful=sent or None, failed=told(failures))


def _letter(queue: SqsQueue, request: Sending, now: float) -> Letter:
    """The message that a request asks for. Raises SqsError."""
    body = request.message_body.encode()
    if not body:
        raise missing("MessageBody")
    if not allowed(body):
        raise SqsError("InvalidMessageContents", "The message contains characters outside the allowed set.")
    check_range(request.delay_seconds, "DelaySeconds", 0, 900)
    size, carried, md5_of_attributes, md5_of_system = len(body), {}, None, None
    if request.message_attributes:
        size += check_attributes(request.message_attributes)
        carried = typed.write(request.message_attributes)
        md5_of_attributes = typed.digest(request.message_attributes)
    if request.message_system_attributes:
        carried[typed.TRACE_ATTRIBUTE] = check_system(request.message_system_attributes)
        md5_of_system = typed.digest(request.message_system_attributes)
    if size > queue.max_bytes:
        raise invalid(
            f"One or more parameters are invalid. Reason: Message must be shorter than {queue.max_bytes} bytes."
        )
    md5_of_body = hashlib.md5(body, usedforsecurity=False).hexdigest()
    put = _fifo_put(queue, request, body, carried, now) if queue.fifo else _put(queue, request, body, carried, now)
    return Letter(put, size, md5_of_body, md5_of_attributes, md5_of_system)


def _put(queue: SqsQueue, request: Sending, body: bytes, carried: dict[str, str], now: float) -> Put:
    if request.message_deduplication_id is not None:
        raise _not_of_this_kind(request.message_deduplication_id, "MessageDeduplicationId")
    if request.message_group_id is not None:
        check_token(request.message_group_id, "MessageGroupId")
        carried[typed.GROUP_ATTRIBUTE] = request.message_group_id
    return Put(queue.name, Message(new_uuid(), body, carried, now), request.delay_seconds)


def _fifo_put(queue: SqsQueue, request: Sending, body: bytes, carried: dict[str, str], now: float) -> Put:
    group = request.message_group_id
    if group is None:
        raise missing("MessageGroupId")
    check_token(group, "MessageGroupId")
    if request.delay_seconds:
        raise _not_of_this_kind(request.delay_seconds, "DelaySeconds")
    dedupe = request.message_deduplication_id
    if dedupe is not None:
        check_token(dedupe, "MessageDeduplicationId")
    elif queue.content_based:
        dedupe = hashlib.sha256(body).hexdigest()
    else:
        problem = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided"
        raise invalid(f"{problem} explicitly")
    carried[typed.DEDUPE_ATTRIBUTE] = dedupe
    # A blank cannot be in a group's name, so no two groups share a key.
    key = f"{group} {dedupe}" if queue.dedupe_by_group else dedupe
    return Put(queue.name, Message(new_uuid(), body, carried, now, group), dedupe=key)


def _check_total(sizes: Sequence[int]) -> None:
    if sum(sizes) > MAX_BYTES:
        problem = f"Batch requests cannot be longer than {MAX_BYTES} bytes. You have sent {sum(sizes)} bytes."
        raise SqsError("BatchRequestTooLong", problem)


def _not_of_this_kind(value: object, parameter: str) -> SqsError:
    reason = "The request include parameter that is not valid for this queue type."
    return invalid_value(value, parameter, reason)


def _sequence(queue: SqsQueue, accepted: Accepted) -> str | None:
    return f"{accepted.sequence:020d}" if queue.fifo else None
