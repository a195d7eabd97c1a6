"""Port: a durable queue. Adapters live in `brokers/`; millrace.testing.check_broker holds each to this contract.

A queue's life: declare → put (durable when it returns) → take (leases) → settle (one Commit) or extend.
A dead letter is a message in the queue `<name>.dead`, which can be peeked, moved back and purged like any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Hashable, Sequence
from typing import Literal

import msgspec

from millrace.types import Accepted, Commit, Death, Lease, Message, Put

DEAD_SUFFIX = ".dead"
DEAD_FROM_ATTRIBUTE = "millrace-dead-from"  # of a message in a `dead_to` queue: the queue in which it died
DEATH_ATTRIBUTE = "millrace-died"  # of a dead letter that came from another broker: its Death as JSON
_MAX_HANDLE = 4096  # characters

Standing = Literal["held", "over", "lost", "gone"]
"""Of a lease: it runs; it has run out and nobody else got the message; somebody else did; the message is not there."""


def dead_letters(queue: str) -> str:
    """The name of a queue's dead-letter queue; a dead-letter queue is its own."""
    return queue if queue.endswith(DEAD_SUFFIX) else queue + DEAD_SUFFIX


def handle_of(receipt: Hashable) -> str:
    """A receipt as text for those outside the process; opaque, and still the broker's own when it comes back."""
    return urlsafe_b64encode(msgspec.json.encode(receipt)).decode()


def receipt_of(handle: str) -> Hashable:
    """The receipt of a handle; raises ValueError for what is none."""
    try:
        if len(handle) > _MAX_HANDLE:
            raise ValueError("too long")
        found = msgspec.json.decode(b64decode(handle.encode("ascii"), altchars=b"-_", validate=True))
        return _frozen(found)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise ValueError("not a receipt handle") from error


def lease_of(queue: str, handle: str) -> Lease:
    """A lease as far as its handle tells: enough to settle or to extend it. Raises ValueError for what is none."""
    return Lease(queue, Message(""), receipt_of(handle), 1, 0.0)


def _frozen(found: object) -> Hashable:
    """A receipt as it was before it became JSON: tuples within tuples, of numbers and texts."""
    if type(found) is int or type(found) is str:
        return found
    if isinstance(found, list):
        return tuple([_frozen(each) for each in found])
    raise ValueError("neither a number nor a text")


class Queue(msgspec.Struct, frozen=True):
    """A queue's declaration; seconds and counts, None where there is no bound.

    `dedupe_s` 0 keeps no memory of ids once their messages are settled. `delay_s` is for puts that name no delay.
    `dead_to` names the queue that gets this one's dead letters, as ordinary messages with the attribute
    `millrace-dead-from`, instead of `<name>.dead`.
    """

    name: str
    lease_s: float = 30.0
    max_receives: int | None = 5
    ttl_s: float | None = None
    max_depth: int | None = None
    fifo: bool = False
    dedupe_s: float = 86400.0
    delay_s: float = 0.0
    dead_to: str | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """What a broker can do; the conformance suite tests what is claimed and that the rest is refused."""

    durable: bool  # what put accepted survives kill -9 of every process
    transactional: bool  # settle makes rows, puts, records and deletion durable together or not at all
    fifo: bool
    delay: bool
    ttl: bool
    dedupe: bool  # within Queue.dedupe_s, also after the first message was settled
    shared: bool  # several processes can take from one queue
    max_body: int | None = None  # bytes
    bounded: bool = True  # max_depth is kept to the message
    browsable: bool = True  # peek sees every message with its state and counts nothing; move and purge choose by id
    exact: bool = True  # stats tell what is there at this moment, for whichever process
    recalls: bool = True  # a released message is uncounted, and back in its old place
    portable: bool = True  # leases and their receipts outlive the process that took them
    overtime: bool = True  # a lease that ran out still counts for as long as nobody else got the message
    ordered: bool = True  # take gives the oldest first, also where the queue is not FIFO
    resumes: bool = True  # a put may bring the attempts that another broker has counted


class Stats(msgspec.Struct, frozen=True):
    """A queue at one moment: `depth` waits visible, `oldest_age_s` is of the oldest not dead, 0.0 when empty."""

    queue: str
    depth: int
    in_flight: int
    delayed: int
    dead: int
    oldest_age_s: float


class Peeked(msgspec.Struct, frozen=True):
    """A message seen without taking it; `death` when it is a dead letter."""

    message: Message
    state: str  # ready, in_flight, delayed
    attempts: int
    death: Death | None = None


class Broker(ABC):
    """A durable queue: eight verbs for the flow, six for people.

    A lease that is settled or extended may be known by its queue and receipt alone (`lease_of`): its message need not
    be the one that was taken. A receipt holds for as long as nobody else has leased the message, or in a FIFO queue one
    of its group, also after its lease has run out, unless capabilities.overtime is False.

    What UTF-8 has no form for is no name and no id: declare and put raise Unencodable for it and leave everything as it
    was; all others find nothing by it, or raise UnknownQueue or Unencodable.
    """

    capabilities: Capabilities

    @abstractmethod
    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make these queues (and their dead-letter queues) exist with these settings; idempotent.

        Raises UnknownQueue where `dead_to` is neither there nor among them, BrokerError where it is the queue itself,
        Unencodable.
        """

    @abstractmethod
    async def drop(self, queues: Sequence[str]) -> None:
        """Delete queues with all that they hold and remember, in flight too, and with their dead-letter queues.

        Where several processes share them, another may take a second to notice. Raises UnknownQueue, BrokerError for
        the dead-letter queue of another; then nothing was deleted.
        """

    @abstractmethod
    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        """Store all or none, durably, in order; an id or dedupe key known within dedupe_s is accepted as a duplicate.

        Raises UnknownQueue, QueueFull, TooLarge, Unencodable, StorageError; then nothing was stored.
        """

    @abstractmethod
    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        """Lease up to `limit` visible messages, oldest first; empty when there are none.

        They are leased for `lease_s`, the queue's own when None; leased for 0 they are visible again at once.

        Returns at once. Counts an attempt on each. Stops before the body that would exceed `max_bytes`, but always
        gives at least one. Messages past their TTL or out of receives become dead letters here instead.
        """

    @abstractmethod
    async def wait(self, queue: str, timeout_s: float) -> None:
        """Return when `take` might give something, or after timeout_s; early is allowed, late is not."""

    @abstractmethod
    async def settle(self, commit: Commit) -> list[Lease]:
        """Carry out the commit; the leases that were no longer ours are returned, their outcomes without effect.

        Where capabilities.transactional, rows, puts, records and deletions become durable together. Elsewhere
        only acks, retries, deaths and releases are the broker's: flow/commit.py has done the rest before. A commit
        that is not `durable` need not wait for the disk.
        """

    @abstractmethod
    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Renew leases to `lease_s` from now, with their new expires_at; those lost meanwhile are left out.

        0 makes the messages visible at once.
        """

    @abstractmethod
    async def stats(self, queue: str) -> Stats:
        """Count the queue's messages by state. Raises UnknownQueue."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was begun and let go of every resource; leases still held simply run out."""

    @abstractmethod
    async def queues(self) -> list[str]:
        """The names of all queues that exist, dead-letter queues included."""

    @abstractmethod
    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        """Look at messages, oldest first, without taking them; `ids` chooses."""

    @abstractmethod
    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        """Move messages that are not in flight into another queue with fresh attempts; say how many.

        The dedupe record of a moved id is forgotten, so that a redriven dead letter runs again; so is its death.
        """

    @abstractmethod
    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        """Delete messages, those in flight only where that is said (their leases are lost); say how many."""

    @abstractmethod
    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        """What each lease is worth at this moment; changes nothing."""
