"""A queue as SQS's clients know it, and as it is remembered in the table."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from millrace.aws.sqs.attributes import FIFO_DEDUPE_S, applied, described, effective
from millrace.aws.sqs.redrive import AllowPolicy, allow_policy, redrive_policy
from millrace.broker import Queue


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """The row of a queue; times are whole Unix seconds. `declared`: the project file speaks for its settings."""

    name: str
    created_at: int
    modified_at: int
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    declared: bool = False

    @property
    def fifo(self) -> bool:
        """Whether it keeps the order of its groups."""
        return "FifoQueue" in self.attributes

    @property
    def allowed(self) -> AllowPolicy:
        """Whose dead letters it takes."""
        return allow_policy(self.attributes.get("RedriveAllowPolicy", ""))


class SqsQueue:
    """A row, what the broker was told of it, and the settings that each message is measured by."""

    __slots__ = ("content_based", "declaration", "dedupe_by_group", "fifo", "kept", "max_bytes", "name", "wait_s")

    def __init__(self, kept: Kept, declaration: Queue) -> None:
        set_ = effective(kept.attributes, fifo=declaration.fifo)
        self.kept = kept
        self.declaration = declaration
        self.name = kept.name
        self.fifo = declaration.fifo
        self.max_bytes = int(set_["MaximumMessageSize"])
        self.wait_s = int(set_["ReceiveMessageWaitTimeSeconds"])
        self.content_based = set_.get("ContentBasedDeduplication") == "true"
        self.dedupe_by_group = set_.get("DeduplicationScope") == "messageGroup"

    @property
    def attributes(self) -> dict[str, str]:
        """Those that can be set, as they are."""
        return effective(described(self.declaration) | self.kept.attributes, fifo=self.fifo)


def declared(queue: Queue, attributes: Mapping[str, str], kept: Kept | None, now_s: int) -> SqsQueue:
    """A queue of the project file, which keeps the tags and the birthday that it had."""
    created, tags = (now_s, {}) if kept is None else (kept.created_at, kept.tags)
    row = Kept(queue.name, created, now_s, described(queue) | dict(attributes), tags, declared=True)
    return SqsQueue(row, queue)


def made(kept: Kept) -> SqsQueue:
    """A queue that was made through the API. Ids are fresh with every send, so only a FIFO queue remembers any."""
    bare = Queue(kept.name, fifo=kept.fifo, max_receives=None, dedupe_s=FIFO_DEDUPE_S if kept.fifo else 0.0)
    return SqsQueue(kept, _told(bare, effective(kept.attributes, fifo=kept.fifo)))


def changed(queue: SqsQueue, attributes: Mapping[str, str], now_s: int) -> SqsQueue:
    """The queue with other attributes; the rest of what the broker was told stays."""
    together = queue.kept.attributes | dict(attributes)
    kept = msgspec.structs.replace(queue.kept, attributes=together, modified_at=now_s)
    return SqsQueue(kept, _told(queue.declaration, attributes))


def _told(declaration: Queue, attributes: Mapping[str, str]) -> Queue:
    """The declaration with those of its settings that these attributes name."""
    found = applied(declaration, attributes)
    if "RedrivePolicy" not in attributes:
        return found
    policy = redrive_policy(attributes["RedrivePolicy"])
    receives, target = (None, None) if policy is None else (policy.receives, policy.target)
    return msgspec.structs.replace(found, max_receives=receives, dead_to=target)
