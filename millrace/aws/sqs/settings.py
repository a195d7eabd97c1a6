"""GetQueueAttributes and SetQueueAttributes, and whether attributes are sound beside each other and the other queues.

Source: SQS API reference.
"""

from __future__ import annotations

from collections.abc import Mapping

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.attributes import COUNTED, SHOWN, check, check_together
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError, invalid_value
from millrace.aws.sqs.queue import SqsQueue, changed
from millrace.aws.sqs.redrive import allow_policy, redrive_policy
from millrace.aws.sqs.requests import GetQueueAttributesRequest, SetQueueAttributesRequest
from millrace.aws.sqs.results import GetQueueAttributesResult


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
    sound = checked(desk, queue.name, queue.fifo, attributes, queue.kept.attributes | dict(attributes))
    await desk.registry.keep(changed(queue, sound, desk.now_s()))


def checked(
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
