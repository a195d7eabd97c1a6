"""What a FIFO queue wants to know of a message: its group, and the id by which SQS drops repeats for five minutes."""

from __future__ import annotations

import re
from hashlib import blake2b

from millrace.brokers.sqs.queue import SqsQueue
from millrace.types import Message

_TOKEN = re.compile(r"[!-~]{1,128}")
_ONE_LINE = "millrace"  # the group of those that have none: without groups a FIFO queue is one line


def fifo_members(queue: SqsQueue, message: Message, dedupe: str) -> dict[str, str]:
    """The members of SendMessage that only FIFO queues have."""
    if not queue.fifo:
        return {}
    return {
        "MessageGroupId": _token(message.group) if message.group else _ONE_LINE,
        "MessageDeduplicationId": _token(dedupe),
    }


def _token(text: str) -> str:
    """A text as SQS takes it, which is printable ASCII without blanks: as it is, or hashed."""
    return text if _TOKEN.fullmatch(text) else f"millrace.{blake2b(text.encode(), digest_size=24).hexdigest()}"
