"""Actions on queues as a whole: make, find, list, empty, delete.

Source: SQS API reference.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.attributes import check
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError
from millrace.aws.sqs.limits import check_name
from millrace.aws.sqs.paging import page
from millrace.aws.sqs.queue import Kept, SqsQueue, made
from millrace.aws.sqs.redrive import redrive_policy
from millrace.aws.sqs.requests import (
    CreateQueueRequest,
    DeleteQueueRequest,
    GetQueueUrlRequest,
    ListDeadLetterSourceQueuesRequest,
    ListQueuesRequest,
    PurgeQueueRequest,
)
from millrace.aws.sqs.results import (
    ListDeadLetterSourceQueuesResult,
    ListQueuesResult,
    QueueUrlResult,
)
from millrace.aws.sqs.settings import checked
from millrace.aws.sqs.tags import check_tags

_PURGE_EVERY_S = 60.0


async def create_queue(desk: Desk, request: CreateQueueRequest, call: Call) -> QueueUrlResult:
    """Make a queue, or find the one of this name whose attributes are these."""
    name, attributes, tags = request.queue_name, dict(request.attributes or {}), dict(request.tags or {})
    fifo = "FifoQueue" in attributes
    check_name(name, fifo=fifo)
    check(attributes, fifo=fifo, creating=True)
    check_tags(tags)
    async with desk.registry.lock:
        found = desk.registry.find(name)
        if found is None:
            kept = Kept(name, desk.now_s(), desk.now_s(), attributes, tags)
            kept = msgspec.structs.replace(kept, attributes=checked(desk, name, kept.fifo, attributes, attributes))
            await desk.registry.keep(made(kept))
        else:
            _check_alike(found, attributes)
    return QueueUrlResult(queue_url=desk.registry.url(name, call.origin))


async def delete_queue(desk: Desk, request: DeleteQueueRequest, call: Call) -> None:
    """Delete a queue with all its messages; one that the project file declares is that file's to delete."""
    async with desk.registry.lock:
        queue = desk.registry.at(request.queue_url)
        if queue.kept.declared:
            problem = f"Queue {queue.name} is declared in the project file: take it out there. PurgeQueue empties it."
            raise SqsError("UnsupportedOperation", problem)
        await desk.registry.delete(queue)
        desk.purged_at.pop(queue.name, None)
        desk.in_flight.forget(queue.name)


async def get_queue_url(desk: Desk, request: GetQueueUrlRequest, call: Call) -> QueueUrlResult:
    """Find a queue by name; whose account is named does not matter, here is only one."""
    queue = desk.registry.named(request.queue_name)
    return QueueUrlResult(queue_url=desk.registry.url(queue.name, call.origin))


async def list_queues(desk: Desk, request: ListQueuesRequest, call: Call) -> ListQueuesResult:
    """The queues whose names begin with a prefix."""
    names = [queue.name for queue in desk.registry if queue.name.startswith(request.queue_name_prefix or "")]
    shown, token = page(names, request.next_token, request.max_results)
    urls = [desk.registry.url(name, call.origin) for name in shown]
    return ListQueuesResult(queue_urls=urls or None, next_token=token)


async def list_dead_letter_source_queues(
    desk: Desk, request: ListDeadLetterSourceQueuesRequest, call: Call
) -> ListDeadLetterSourceQueuesResult:
    """The queues whose dead letters come to this one."""
    queue = desk.registry.at(request.queue_url)
    names = [source.name for source in desk.registry.sources(queue.name)]
    shown, token = page(names, request.next_token, request.max_results)
    return ListDeadLetterSourceQueuesResult(
        queue_urls=[desk.registry.url(name, call.origin) for name in shown], next_token=token
    )


async def purge_queue(desk: Desk, request: PurgeQueueRequest, call: Call) -> None:
    """Delete all messages, those in flight as well."""
    queue = desk.registry.at(request.queue_url)
    now_s = desk.clock.monotonic()
    if now_s - desk.purged_at.get(queue.name, -_PURGE_EVERY_S) < _PURGE_EVERY_S:
        problem = f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds."
        raise SqsError("PurgeQueueInProgress", problem)
    desk.purged_at[queue.name] = now_s
    await desk.broker.purge(queue.name, in_flight=True)
    desk.in_flight.forget(queue.name)


def _check_alike(queue: SqsQueue, attributes: Mapping[str, str]) -> None:
    there = queue.attributes
    for name, value in attributes.items():
        if not _same(name, there.get(name, ""), value):
            problem = f"A queue already exists with the same name and a different value for attribute {name}"
            raise SqsError("QueueNameExists", problem)
    if queue.fifo and "FifoQueue" not in attributes:
        raise SqsError("QueueNameExists", "A queue already exists with the same name and is a FIFO queue")


def _same(name: str, there: str, value: str) -> bool:
    return there == (_redrive_text(value) if name == "RedrivePolicy" else value)


def _redrive_text(value: str) -> str:
    policy = redrive_policy(value)
    return "" if policy is None else policy.text()
