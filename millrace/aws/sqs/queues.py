"""Actions on queues: make, find, list, describe, change, tag, purge, delete.

Source: SQS API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.attributes import COUNTED, SHOWN, check, check_together
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError, invalid, invalid_value
from millrace.aws.sqs.limits import check_name
from millrace.aws.sqs.paging import page
from millrace.aws.sqs.queue import Kept, SqsQueue, changed, made
from millrace.aws.sqs.redrive import allow_policy, redrive_policy
from millrace.aws.sqs.requests import (
    CreateQueueRequest,
    DeleteQueueRequest,
    GetQueueAttributesRequest,
    GetQueueUrlRequest,
    ListDeadLetterSourceQueuesRequest,
    ListQueuesRequest,
    ListQueueTagsRequest,
    PurgeQueueRequest,
    SetQueueAttributesRequest,
    TagQueueRequest,
    UntagQueueRequest,
)
from millrace.aws.sqs.results import (
    GetQueueAttributesResult,
    ListDeadLetterSourceQueuesResult,
    ListQueuesResult,
    ListQueueTagsResult,
    QueueUrlResult,
)

_PURGE_EVERY_S = 60.0
_MOST_TAGS = 50
_TAG_KEY = re.compile(r"(?!aws:)[\w .:/=+@-]{1,128}")
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")


async def create_queue(desk: Desk, request: CreateQueueRequest, call: Call) -> QueueUrlResult:
    """Make a queue, or find the one of this name whose attributes are these."""
    name, attributes, tags = request.queue_name, dict(request.attributes or {}), dict(request.tags or {})
    fifo = "FifoQueue" in attributes
    check_name(name, fifo=fifo)
    check(attributes, fifo=fifo, creating=True)
    _check_tags(tags)
    async with desk.registry.lock:
        found = desk.registry.find(name)
        if found is None:
            kept = Kept(name, desk.now_s(), desk.now_s(), attributes, tags)
            kept = msgspec.structs.replace(kept, attributes=_checked(desk, name, kept.fifo, attributes, attributes))
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


async def get_queue_attributes(desk: Desk, request: GetQueueAttributesRequest, call: Call) -> GetQueueAttributesResult:
    """Those attributes that were asked for by name, or All of them."""
    queue = desk.registry.at(request.queue_url)
    names = set(request.attribute_names or ())
    for name in names.difference(SHOWN, ["All"]):
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {name[:256]}.")
    if "All" in names:
        names = set(SHOWN)
    found = queue.attributes | {
        "QueueArn": desk.registry.arn(queue.name),
        "CreatedTimestamp": str(queue.kept.created_at),
        "LastModifiedTimestamp": str(queue.kept.modified_at),
    }
    if names.intersection(COUNTED):
        stats = await desk.broker.stats(queue.name)
        found |= zip(COUNTED, map(str, (stats.depth, stats.in_flight, stats.delayed)), strict=True)
    return GetQueueAttributesResult(
        attributes={name: found[name] for name in SHOWN if name in names & found.keys()} or None
    )


async def set_queue_attributes(desk: Desk, request: SetQueueAttributesRequest, call: Call) -> None:
    """Change attributes from now on; messages that wait already keep their time to live."""
    async with desk.registry.lock:
        queue = desk.registry.at(request.queue_url)
        await change(desk, queue, request.attributes)


async def change(desk: Desk, queue: SqsQueue, attributes: Mapping[str, str]) -> None:
    """Check attributes and make them the queue's; the registry's lock is held. Raises SqsError."""
    check(attributes, fifo=queue.fifo, creating=False)
    sound = _checked(desk, queue.name, queue.fifo, attributes, queue.kept.attributes | dict(attributes))
    await desk.registry.keep(changed(queue, sound, desk.now_s()))


async def tag_queue(desk: Desk, request: TagQueueRequest, call: Call) -> None:
    """Add tags, or replace those of the same key."""
    async with desk.registry.lock:
        queue = desk.registry.at(request.queue_url)
        tags = queue.kept.tags | request.tags
        _check_tags(tags)
        await desk.registry.note(queue, msgspec.structs.replace(queue.kept, tags=tags))


async def untag_queue(desk: Desk, request: UntagQueueRequest, call: Call) -> None:
    """Take tags away; those that it does not have are no error."""
    async with desk.registry.lock:
        queue = desk.registry.at(request.queue_url)
        tags = {key: value for key, value in queue.kept.tags.items() if key not in request.tag_keys}
        await desk.registry.note(queue, msgspec.structs.replace(queue.kept, tags=tags))


async def list_queue_tags(desk: Desk, request: ListQueueTagsRequest, call: Call) -> ListQueueTagsResult:
    """The tags of a queue."""
    return ListQueueTagsResult(tags=desk.registry.at(request.queue_url).kept.tags or None)


async def purge_queue(desk: Desk, request: PurgeQueueRequest, call: Call) -> None:
    """Delete what waits; what is in flight is its receiver's, and stays."""
    queue = desk.registry.at(request.queue_url)
    now_s = desk.clock.monotonic()
    if now_s - desk.purged_at.get(queue.name, -_PURGE_EVERY_S) < _PURGE_EVERY_S:
        problem = f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds."
        raise SqsError("PurgeQueueInProgress", problem)
    desk.purged_at[queue.name] = now_s
    await desk.broker.purge(queue.name)


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


def _checked(
    desk: Desk, name: str, fifo: bool, attributes: Mapping[str, str], together: Mapping[str, str]
) -> dict[str, str]:
    """The attributes as they are kept, once they are sound beside each other and the other queues."""
    check_together(together)
    allow_policy(attributes.get("RedriveAllowPolicy", ""))
    policy = redrive_policy(attributes.get("RedrivePolicy", ""))
    if policy is None:
        return dict(attributes)
    text, target = attributes["RedrivePolicy"], desk.registry.of_arn(policy.deadLetterTargetArn)
    if target is None:
        raise invalid_value(text, "RedrivePolicy", "Dead letter target does not exist.")
    if target.name == name:
        raise invalid_value(text, "RedrivePolicy", "A queue cannot be its own dead letter queue.")
    if target.fifo != fifo:
        raise invalid_value(text, "RedrivePolicy", "Dead-letter queue must be same type of queue as the source.")
    if not target.kept.allowed.allows(desk.registry.arn(name)):
        raise invalid_value(text, "RedrivePolicy", "The dead letter target's RedriveAllowPolicy denies it.")
    return {**attributes, "RedrivePolicy": policy.text()}


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise invalid(f"Too many tags added for queue: {len(tags)}, at most {_MOST_TAGS} are allowed.")
    for key, value in tags.items():
        if _TAG_KEY.fullmatch(key) is None or _TAG_VALUE.fullmatch(value) is None:
            raise invalid_value(
                key, "Tags", "A tag's key has 1 to 128 and its value up to 256 letters, digits or .:/=+@_-"
            )
