"""What a receiver does with a message by its receipt handle: delete it, or change how long it stays hidden.

A handle is a fencing token. In a standard queue deleting with one that no longer holds is no error and does nothing; a
FIFO queue refuses it once the visibility timeout is over, but not when the message is gone already. Source: SQS API
reference, DeleteMessage and ChangeMessageVisibility.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.batches import Failures, told
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError, invalid_value
from millrace.aws.sqs.limits import check_entries, check_range
from millrace.aws.sqs.queue import SqsQueue
from millrace.aws.sqs.requests import (
    ChangeMessageVisibilityBatchRequest,
    ChangeMessageVisibilityRequest,
    DeleteMessageBatchRequest,
    DeleteMessageRequest,
)
from millrace.aws.sqs.results import (
    ChangeMessageVisibilityBatchResult,
    ChangeMessageVisibilityBatchResultEntry,
    DeleteMessageBatchResult,
    DeleteMessageBatchResultEntry,
)
from millrace.broker import Standing, handle_of, lease_of
from millrace.errors import BrokerError, UnknownQueue
from millrace.types import Commit, Lease, Outcome

_LONGEST_S = 43200
_GONE = "Message does not exist or is not available for visibility timeout change."
_EXPIRED = "The receipt handle has expired."
_VISIBLE = "The message is not in flight: its visibility timeout is over."


class _Handled(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def receipt_handle(self) -> str: ...


async def delete_message(desk: Desk, request: DeleteMessageRequest, call: Call) -> None:
    """Delete one message."""
    queue = desk.registry.at(request.queue_url)
    lease = _lease(queue, request.receipt_handle)
    for error in (await _each({"": lease}, lambda leases: _delete(desk, queue, leases))).values():
        raise error


async def delete_message_batch(desk: Desk, request: DeleteMessageBatchRequest, call: Call) -> DeleteMessageBatchResult:
    """Delete up to ten messages in one commit."""
    queue = desk.registry.at(request.queue_url)
    check_entries(request.entries, "DeleteMessageBatchRequestEntry")
    leases, failures = _leases(queue, request.entries)
    failures |= await _each(leases, lambda some: _delete(desk, queue, some))
    done = [DeleteMessageBatchResultEntry(id=each.id) for each in request.entries if each.id not in failures]
    return DeleteMessageBatchResult(successful=done or None, failed=told(failures))


async def change_message_visibility(desk: Desk, request: ChangeMessageVisibilityRequest, call: Call) -> None:
    """Hide one message for so long from now, or show it at once with 0."""
    queue = desk.registry.at(request.queue_url)
    check_range(request.visibility_timeout, "VisibilityTimeout", 0, _LONGEST_S)
    lease = _lease(queue, request.receipt_handle)
    timeouts = {"": request.visibility_timeout}
    for error in (await _each({"": lease}, lambda leases: _hide(desk, leases, timeouts))).values():
        raise error


async def change_message_visibility_batch(
    desk: Desk, request: ChangeMessageVisibilityBatchRequest, call: Call
) -> ChangeMessageVisibilityBatchResult:
    """The same for up to ten messages; those that get the same timeout go together."""
    queue = desk.registry.at(request.queue_url)
    check_entries(request.entries, "ChangeMessageVisibilityBatchRequestEntry")
    leases, failures = _leases(queue, request.entries)
    timeouts: dict[str, int] = {}
    for entry in request.entries:
        try:
            check_range(entry.visibility_timeout, "VisibilityTimeout", 0, _LONGEST_S)
            timeouts[entry.id] = entry.visibility_timeout or 0
        except SqsError as error:
            failures[entry.id] = error
    sound = {id: lease for id, lease in leases.items() if id in timeouts}
    failures |= await _each(sound, lambda some: _hide(desk, some, timeouts))
    done = [ChangeMessageVisibilityBatchResultEntry(id=each.id) for each in request.entries if each.id not in failures]
    return ChangeMessageVisibilityBatchResult(successful=done or None, failed=told(failures))


def _lease(queue: SqsQueue, handle: str) -> Lease:
    try:
        return lease_of(queue.name, handle)
    except ValueError:
        raise _no_handle(handle) from None


def _no_handle(handle: str) -> SqsError:
    problem = f'The input receipt handle "{handle[:256]}" is not a valid receipt handle.'
    return SqsError("ReceiptHandleIsInvalid", problem)


def _leases(queue: SqsQueue, entries: Sequence[_Handled]) -> tuple[dict[str, Lease], Failures]:
    leases: dict[str, Lease] = {}
    failures: Failures = {}
    for entry in entries:
        try:
            leases[entry.id] = _lease(queue, entry.receipt_handle)
        except SqsError as error:
            failures[entry.id] = error
    return leases, failures


async def _each(leases: Mapping[str, Lease], do: Callable[[Mapping[str, Lease]], Awaitable[Failures]]) -> Failures:
    """Do it for all at once; where the broker finds a receipt that is none of its own, for each alone."""
    try:
        return await do(leases)
    except UnknownQueue:
        raise
    except BrokerError:
        if len(leases) == 1:
            return {id: _no_handle(handle_of(lease.receipt)) for id, lease in leases.items()}
    failures: Failures = {}
    for id, lease in leases.items():
        failures |= await _each({id: lease}, do)
    return failures


async def _delete(desk: Desk, queue: SqsQueue, leases: Mapping[str, Lease]) -> Failures:
    """Settle them as done; handles of one message given twice are one."""
    failures: Failures = {}
    if queue.fifo:
        standings = await _standings(desk, leases)
        failures = {id: _refused(leases[id], _EXPIRED) for id, each in standings.items() if each in ("over", "lost")}
        leases = {id: lease for id, lease in leases.items() if standings[id] == "held"}
    once = {lease.receipt: lease for lease in leases.values()}
    if once:
        # Of a standard queue a message may come twice, so a power loss may bring it back; FIFO queues promise once.
        outcomes = [Outcome(lease, "done") for lease in once.values()]
        await desk.broker.settle(Commit(queue.name, outcomes, durable=queue.fifo))
    return failures


async def _hide(desk: Desk, leases: Mapping[str, Lease], timeouts: Mapping[str, int]) -> Failures:
    standings = await _standings(desk, leases)
    held = {id: lease for id, lease in leases.items() if standings[id] == "held"}
    for timeout_s in {timeouts[id] for id in held}:
        alike = {lease.receipt: lease for id, lease in held.items() if timeouts[id] == timeout_s}
        await desk.broker.extend(list(alike.values()), timeout_s)
    return {
        id: SqsError("MessageNotInflight", _VISIBLE) if standings[id] == "over" else _refused(lease, _GONE)
        for id, lease in leases.items()
        if id not in held
    }


async def _standings(desk: Desk, leases: Mapping[str, Lease]) -> dict[str, Standing]:
    return dict(zip(leases, await desk.broker.standing(list(leases.values())), strict=True))


def _refused(lease: Lease, reason: str) -> SqsError:
    return invalid_value(handle_of(lease.receipt), "ReceiptHandle", reason)
