"""The nouns: a Message is leased, leases make a Batch, each ends in an Outcome, all outcomes of a batch are one Commit.

Values are frozen; nothing here does I/O. They are msgspec structs, since creating one costs a tenth of a frozen
dataclass and the flow makes several for each message.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

JSON = "application/json"

if TYPE_CHECKING:
    RawJson = msgspec.Raw | None
else:
    # msgspec 0.22 reads nothing but null into `Raw | None`. So null becomes Raw(b"null"), what is missing the default.
    RawJson = msgspec.Raw


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item of work: bytes, string attributes, and an id that stays the same however often it is delivered.

    `sent_at` is Unix seconds; `group` is the FIFO message group, empty outside FIFO queues. The attribute
    `content-type` says what the body is; attributes that begin with `millrace-` are millrace's own.
    """

    id: str
    body: bytes = b""
    attributes: dict[str, str] = {}
    sent_at: float = 0.0
    group: str = ""

    @property
    def content_type(self) -> str:
        """The media type of the body without its parameters, `application/octet-stream` when unsaid."""
        return self.attributes.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body read as JSON; raises ValueError (msgspec.DecodeError) when it is not."""
        return msgspec.json.decode(self.body)

    def text(self) -> str:
        """The body read as UTF-8; raises UnicodeDecodeError when it is not."""
        return self.body.decode()


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Why one item failed: an exception's dotted type, its text and traceback.

    `retry` is what the user's code asked for by raising Retry (True) or Dead (False), None when it did not say;
    `after_s` is the delay that Retry asked for. `mro` are the dotted names of the exception's classes, nearest
    first, so that `dead_on: [OSError]` also holds its subclasses without the parent importing them.
    """

    type: str
    message: str
    traceback: str = ""
    retry: bool | None = None
    after_s: float | None = None
    mro: tuple[str, ...] = ()


class Death(msgspec.Struct, frozen=True):
    """Why and when a message became a dead letter; times are Unix seconds.

    `reason` is `failed` (max_receives used up), `dead` (the code or dead_on said so), `expired` (TTL) or
    `lost` (every delivery's lease ran out unsettled).
    """

    reason: Literal["failed", "dead", "expired", "lost"]
    failure: Failure
    queue: str
    attempts: int
    first_failed_at: float
    last_failed_at: float
    function: str = ""
    version: str = ""


class Tried(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Deliveries of a message in the broker that had it before; Unix seconds, 0.0 when it never failed."""

    attempts: int
    first_failed_at: float = 0.0


class Put(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message on its way into a queue; `delay_s` and `ttl_s` None mean the queue's own.

    `dedupe` is a key apart from the id: within the queue's dedupe_s after a put, another with the same key is accepted
    as a duplicate of the first, whatever its id (SQS's deduplication id). `tried` is of a message that comes from
    another broker; one that does not claim `resumes` counts anew. The id of a `fresh` one was made for this put:
    nobody can have put it before.
    """

    queue: str
    message: Message
    delay_s: float | None = None
    ttl_s: float | None = None
    dedupe: str = ""
    tried: Tried | None = None
    fresh: bool = False


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The broker's word that a put is durable; `duplicate` when the queue knew the id and kept the first.

    `id` is then the first's. `sequence` is the message's place in the order of its queue, 0 where it is not known.
    """

    id: str
    duplicate: bool = False
    sequence: int = 0


class Lease(msgspec.Struct, frozen=True, gc=False):
    """A message in our hands until `expires_at` (this process's monotonic seconds) unless extended.

    `receipt` is the fencing token, opaque to all but the broker that gave it; `attempt` is 1 on the first
    delivery; `first_failed_at` is Unix seconds, 0.0 when it never failed. `deadline` (monotonic seconds) is when the
    message's TTL ends. `first_taken_at` (Unix seconds) is when the first delivery was, `sequence` the message's place
    in the order of its queue; both are 0 where a broker does not know them.
    """

    queue: str
    message: Message
    receipt: Hashable
    attempt: int
    expires_at: float
    first_failed_at: float = 0.0
    deadline: float = math.inf
    first_taken_at: float = 0.0
    sequence: int = 0


class Batch(msgspec.Struct, frozen=True):
    """Leases that are run together, and why the batcher let them go: full, bytes, wait, lease or drain."""

    request_id: str
    leases: tuple[Lease, ...]
    reason: str

    @property
    def messages(self) -> list[Message]:
        """The messages of its leases, in order."""
        return [lease.message for lease in self.leases]


class Row(msgspec.Struct, frozen=True, gc=False):
    """A keyed write into a table: `value` is the row as a JSON object, its key field included."""

    table: str
    key: str
    value: bytes


class Object(msgspec.Struct, frozen=True, gc=False):
    """A keyed write into a bucket."""

    bucket: str
    key: str
    body: bytes


class Post(msgspec.Struct, frozen=True, gc=False):
    """A result to be posted to a webhook; `id` travels as Idempotency-Key, so that the receiver can drop a repeat."""

    url: str
    id: str
    body: bytes


State = Literal["queued", "running", "retrying", "done", "dead"]


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of one message, kept for the dedupe window (24 h); times are Unix seconds.

    `value` is the function's result as JSON, `failure` the last error.
    """

    id: str
    queue: str
    state: State
    value: RawJson = None
    failure: Failure | None = None
    attempts: int = 0
    function: str = ""
    version: str = ""
    accepted_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0


Verdict = Literal["done", "retry", "dead", "release"]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What was decided for one leased message, with all the effects that must become durable with it.

    done: delete, with rows, objects, puts and the record. retry: visible again after `delay_s`, attempt counted.
    dead: to the dead letters with `death`. release: given back unstarted, attempt not counted.
    A fenced outcome (its lease went to somebody else) has no effects at all.
    """

    lease: Lease
    verdict: Verdict
    record: Record | None = None
    rows: tuple[Row, ...] = ()
    objects: tuple[Object, ...] = ()
    posts: tuple[Post, ...] = ()
    puts: tuple[Put, ...] = ()
    delay_s: float = 0.0
    death: Death | None = None


class Commit(msgspec.Struct, frozen=True):
    """All outcomes of one batch of one queue: one transaction where the backend has one.

    What is not `durable` outlives the death of every process, but a power loss may take it back: for messages that
    have no effects of ours, and whose taker bears to see them again.
    """

    queue: str
    outcomes: Sequence[Outcome]
    durable: bool = True

    def having(self, verdict: Verdict) -> list[Outcome]:
        """The outcomes with one verdict, in order."""
        return [outcome for outcome in self.outcomes if outcome.verdict == verdict]

    def without(self, lost: Sequence[Lease]) -> Commit:
        """The same commit less the outcomes of leases that were lost."""
        gone = {lease.receipt for lease in lost}
        ours = [outcome for outcome in self.outcomes if outcome.lease.receipt not in gone]
        return Commit(self.queue, ours, self.durable)

    @property
    def rows(self) -> Iterator[Row]:
        """All rows, in the order of the outcomes."""
        return (row for outcome in self.outcomes for row in outcome.rows)

    @property
    def objects(self) -> Iterator[Object]:
        """All objects, in the order of the outcomes."""
        return (item for outcome in self.outcomes for item in outcome.objects)

    @property
    def puts(self) -> Iterator[Put]:
        """All output messages, in the order of the outcomes."""
        return (put for outcome in self.outcomes for put in outcome.puts)

    @property
    def records(self) -> Iterator[Record]:
        """The records of those outcomes that have one."""
        return (outcome.record for outcome in self.outcomes if outcome.record is not None)
