"""A queue of ours in SQS."""

from __future__ import annotations

import msgspec

from millrace.broker import DEAD_SUFFIX, Queue

# Of a message and of a batch; SQS developer guide, "Amazon SQS message quotas", since August 2025.
MAX_BYTES = 1_048_576
MAX_LEASE_S = 43_200


class SqsQueue(msgspec.Struct, frozen=True):
    """Where a queue is, how it was declared here, and what a message in it may weigh with its attributes.

    `notices` say, a line each, what SQS does with its messages that was not declared here.
    """

    settings: Queue
    url: str
    fifo: bool
    max_bytes: int
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that it has with us."""
        return self.settings.name

    @property
    def is_dead(self) -> bool:
        """Whether it holds another's dead letters."""
        return self.name.endswith(DEAD_SUFFIX)
