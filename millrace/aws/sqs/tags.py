"""Tags of a queue. Source: SQS developer guide, "Amazon SQS cost allocation tags"."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import invalid, invalid_value
from millrace.aws.sqs.requests import ListQueueTagsRequest, TagQueueRequest, UntagQueueRequest
from millrace.aws.sqs.results import ListQueueTagsResult

_MOST_TAGS = 50
_TAG_KEY = re.compile(r"(?!aws:)[\w .:/=+@-]{1,128}")
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")


async def tag_queue(desk: Desk, request: TagQueueRequest, call: Call) -> None:
    """Add tags, or replace those of the same key."""
    async with desk.registry.lock:
        queue = desk.registry.at(request.queue_url)
        tags = queue.kept.tags | request.tags
        check_tags(tags)
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


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise SqsError for tags that a queue cannot have together."""
    if len(tags) > _MOST_TAGS:
        raise invalid(f"Too many tags added for queue: {len(tags)}, at most {_MOST_TAGS} are allowed.")
    for key, value in tags.items():
        if _TAG_KEY.fullmatch(key) is None or _TAG_VALUE.fullmatch(value) is None:
            raise invalid_value(
                key, "Tags", "A tag's key has 1 to 128 and its value up to 256 letters, digits or .:/=+@_-"
            )
