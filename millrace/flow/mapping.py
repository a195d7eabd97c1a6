"""How a queue feeds a function, beside batch and retries: what AWS calls an event source mapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from millrace.aws.events import dynamodb, sqs
from millrace.aws.filters import queue_filter, stream_filter
from millrace.clock import Clock
from millrace.config.events import QueueEvent, TableEvent
from millrace.flow.outcomes import Decider
from millrace.ids import new_id
from millrace.source import EVENT_ATTRIBUTE, RowChange
from millrace.types import Batch, Lease, Outcome
from millrace.wire import Spec

Accepts = Callable[[Lease], bool]


def _any(lease: Lease) -> bool:
    return True


def _fresh(leases: Sequence[Lease]) -> str:
    return new_id()


class Mapping(msgspec.Struct, frozen=True):
    """One queue's way into a function.

    `accepts`: what is run at all; the rest is deleted, or dead where it raises. `concurrency`: most batches at once.
    `partial`: whether a handler's batchItemFailures count. `bisect`: look for the culprit of a batch that failed as a
    whole, or blame all. `impatient`: messages of a function that cannot be loaded fail, as on Lambda, rather than wait
    until it can be.
    `request_id` names the invocation of a batch.
    """

    accepts: Accepts = _any
    concurrency: int | None = None
    partial: bool = True
    bisect: bool = True
    impatient: bool = False
    request_id: Callable[[Sequence[Lease]], str] = _fresh

    def batch(self, leases: Sequence[Lease], reason: str) -> Batch:
        """Leases as one invocation."""
        return Batch(self.request_id(leases), tuple(leases), reason)

    def sift(self, leases: Sequence[Lease], decider: Decider) -> tuple[list[Lease], list[Lease], list[Outcome]]:
        """Of taken leases those to run, those that the filter keeps out, and what becomes of the others.

        Those are too old, or such that the filter cannot judge them: no reason to delete them, nor to end the flow.
        """
        young = [lease for lease in leases if not decider.too_old(lease)]
        kept, filtered, odd = (young, [], []) if self.accepts is _any else self._judged(young)
        if len(kept) == len(leases):
            return kept, [], []
        known = {lease.receipt for lease in young}
        old = [lease for lease in leases if lease.receipt not in known]
        return kept, filtered, [*(decider.give_up(old) if old else ()), *(decider.unjudged(odd) if odd else ())]

    def _judged(self, leases: Sequence[Lease]) -> tuple[list[Lease], list[Lease], list[tuple[Lease, Exception]]]:
        """Those that the filter lets pass, those that it keeps out, and those of which it makes nothing."""
        kept: list[Lease] = []
        filtered: list[Lease] = []
        odd: list[tuple[Lease, Exception]] = []
        for lease in leases:
            try:
                (kept if self.accepts(lease) else filtered).append(lease)
            except Exception as error:  # whatever a message makes of it, the others are to be run
                odd.append((lease, error))
        return kept, filtered, odd


def queue_mapping(event: QueueEvent, spec: Spec, clock: Clock, *, impatient: bool = False) -> Mapping:
    """The mapping of a `queue:` event. Raises PatternError for a filter that means nothing."""
    return Mapping(
        accepts=_queue_accepts(event, spec, clock) if event.filter else _any,
        concurrency=event.concurrency,
        partial=event.partial,
        bisect=event.on_error == "bisect",
        impatient=impatient,
    )


def stream_mapping(event: TableEvent, spec: Spec, *, impatient: bool = False) -> Mapping:
    """The mapping of a `table:` event. Raises PatternError for a filter that means nothing."""
    return Mapping(
        accepts=_stream_accepts(event, spec) if event.filter else _any,
        partial=event.partial,
        bisect=event.on_error == "bisect",
        impatient=impatient,
    )


def _queue_accepts(event: QueueEvent, spec: Spec, clock: Clock) -> Accepts:
    """A filter of SQS records; events of other sources in the same queue are none, and pass."""
    matches = queue_filter(event.filter)

    def accepts(lease: Lease) -> bool:
        if EVENT_ATTRIBUTE in lease.message.attributes:
            return True
        told = sqs.event([lease.message], [lease.attempt], [""], queue=lease.queue, spec=spec, now=clock.now())
        return matches(told["Records"][0])

    return accepts


def _stream_accepts(event: TableEvent, spec: Spec) -> Accepts:
    matches = stream_filter(event.filter)

    def accepts(lease: Lease) -> bool:
        change = msgspec.json.decode(lease.message.body, type=RowChange)
        return matches(dynamodb.event([change], [lease.message.id], spec)["Records"][0])

    return accepts
