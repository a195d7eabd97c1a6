"""Takes: receives, several at once, sifted: what is too early is hidden, what is past saving becomes a dead letter."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from millrace.brokers.sqs.batches import AT_ONCE, MOST
from millrace.brokers.sqs.client import FOR_EVER_S, PATIENCE_S, SENT_AT
from millrace.brokers.sqs.directory import Directory
from millrace.brokers.sqs.endings import Endings, report
from millrace.brokers.sqs.leases import Leases, first_failed_at
from millrace.brokers.sqs.letters import Received, received_of
from millrace.brokers.sqs.mailbox import Mailbox, Parked
from millrace.brokers.sqs.queue import MAX_LEASE_S, SqsQueue
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.ids import new_id
from millrace.types import Death, Failure, Lease

_FRESH = 0.25  # of its lease: what has waited longer for a take is renewed with it


class Taking:
    """Takes leases, and waits for something to take."""

    def __init__(self, directory: Directory, endings: Endings, leases: Leases, clock: Clock) -> None:
        self._directory = directory
        self._endings = endings
        self._leases = leases
        self._clock = clock
        self._mailboxes: dict[str, Mailbox] = {}

    async def take(self, queue: SqsQueue, limit: int, max_bytes: int | None, lease_s: float | None) -> list[Lease]:
        """Lease what is there, up to the limit; what is beyond max_bytes lies ready for the next take."""
        wanted_s = min(MAX_LEASE_S, math.ceil(queue.settings.lease_s if lease_s is None else lease_s))
        mailbox = self._mailbox(queue)
        taken: list[Parked] = []
        held_bytes = 0
        seen: set[str] = set()
        while len(taken) < limit:
            try:
                found = await self._some(queue, mailbox, limit - len(taken), wanted_s)
            except BrokerError:
                if not taken:
                    raise
                break  # what was taken before is the caller's; the next take says what is wrong
            if again := [each for each in found if each.received.sqs_id in seen]:
                taken = _given_again(taken, again)
            fresh = once([each for each in found if each.received.sqs_id not in seen])
            seen.update(each.received.sqs_id for each in fresh)
            if not fresh:
                break
            living = await self._sifted(queue, fresh)
            for place, each in enumerate(living):
                size = len(each.received.envelope.message.body)
                if taken and max_bytes is not None and held_bytes + size > max_bytes:
                    mailbox.put_back(living[place:])
                    return self._granted(queue, taken)
                taken.append(each)
                held_bytes += size
            if not wanted_s:
                break  # what is leased for no time is there again, and would be found for ever
        return self._granted(queue, taken)

    async def wait(self, queue: SqsQueue, timeout_s: float) -> None:
        """Return when a take might give something."""
        await self._mailbox(queue).wait(timeout_s)

    async def receive(
        self, queue: SqsQueue, limit: int, lease_s: int, *, wait_s: int = 0, patience_s: float = PATIENCE_S
    ) -> tuple[list[Received], float]:
        """ReceiveMessage, of ten at most; and when the request left, from which on their leases count."""
        members: dict[str, Any] = {
            "MaxNumberOfMessages": min(MOST, limit),
            "VisibilityTimeout": lease_s,
            "WaitTimeSeconds": wait_s,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if queue.fifo:
            members["ReceiveRequestAttemptId"] = new_id()  # an answer that was lost on its way is given again
        told = await self._directory.asked(
            queue, "ReceiveMessage", members, wait_s=float(wait_s), patience_s=patience_s
        )
        return [received_of(each) for each in told.get("Messages") or ()], told[SENT_AT]

    def ready(self, queue: str) -> int:
        """How many messages lie ready here, leased as far as SQS knows."""
        return len(self._mailboxes[queue]) if queue in self._mailboxes else 0

    async def give_back(self, queue: SqsQueue) -> None:
        """Make what lies ready visible to all."""
        if parked := self._mailbox(queue).take(self.ready(queue.name)):
            await self._endings.hide(queue, [(each.received.handle, 0.0) for each in parked])

    async def forget(self, queue: str) -> None:
        """The queue is gone: let go of who waits for it."""
        if (mailbox := self._mailboxes.pop(queue, None)) is not None:
            await mailbox.close()

    async def close(self) -> None:
        """Poll no more, and give back what lies ready, where SQS can be asked at all."""
        parked = {name: await mailbox.close() for name, mailbox in self._mailboxes.items()}
        for name, each in parked.items():
            if each:
                await self._endings.hide(
                    await self._directory.named(name), [(one.received.handle, 0.0) for one in each]
                )

    def _mailbox(self, queue: SqsQueue) -> Mailbox:
        name = queue.name
        if name not in self._mailboxes:

            async def poll(wait_s: int, limit: int) -> tuple[list[Parked], float]:
                current = await self._directory.named(name)
                lease_s = min(MAX_LEASE_S, math.ceil(current.settings.lease_s))
                found, sent_at = await self.receive(current, limit, lease_s, wait_s=wait_s, patience_s=FOR_EVER_S)
                came_at = self._clock.monotonic()
                return [Parked(each, lease_s, sent_at, came_at) for each in found], sent_at

            self._mailboxes[name] = Mailbox(poll, self._clock)
        return self._mailboxes[name]

    async def _some(self, queue: SqsQueue, mailbox: Mailbox, limit: int, lease_s: int) -> list[Parked]:
        """What lies ready, else what is received now; a take of many receives several times at once."""
        mailbox.appetite = min(MOST, limit)
        if parked := mailbox.take(limit):
            return await self._renewed(queue, parked, lease_s)
        times = 1 if queue.fifo or not lease_s else min(AT_ONCE, math.ceil(limit / MOST))
        wanted = [min(MOST, limit - MOST * number) for number in range(times)]
        patience_s = min(PATIENCE_S, max(1.0, _FRESH * lease_s))  # what came first runs out while others are waited for
        receives = (self.receive(queue, each, lease_s, patience_s=patience_s) for each in wanted)
        answers = await asyncio.gather(*receives, return_exceptions=True)
        found = [
            Parked(each, lease_s, answer[1], answer[1])
            for answer in answers
            if not isinstance(answer, BaseException)
            for each in answer[0]
        ]
        for answer in answers:
            if isinstance(answer, BaseException) and not (found and isinstance(answer, BrokerError)):
                raise answer
        return found

    async def _renewed(self, queue: SqsQueue, parked: Sequence[Parked], lease_s: int) -> list[Parked]:
        """What lay ready, leased for as long as this take wants; SQS says which of it is no longer ours."""
        now_s = self._clock.monotonic()
        kept = [each for each in parked if each.lease_s == lease_s and now_s - each.asked_at < _FRESH * lease_s]
        stale = [each for each in parked if each not in kept]
        answers = await self._endings.hide(queue, [(each.received.handle, lease_s) for each in stale])
        for each, answer in zip(stale, answers, strict=True):
            if isinstance(answer, dict):
                kept.append(Parked(each.received, lease_s, now_s, now_s))
        return kept

    async def _sifted(self, queue: SqsQueue, found: Sequence[Parked]) -> list[Parked]:
        """Those that may be taken now."""
        now = self._clock.now()
        early = [each for each in found if each.received.due_at > now]
        deaths = [
            (each.received.handle, each.received.envelope, death)
            for each in found
            if each.received.due_at <= now and (death := past_saving(queue, each.received, now)) is not None
        ]
        if early:
            pairs = [(each.received.handle, min(MAX_LEASE_S, each.received.due_at - now)) for each in early]
            report(queue, "hidden", await self._endings.hide(queue, pairs))
        if deaths:
            report(queue, "buried", await self._endings.bury(queue, deaths))
        gone = {each.received.handle for each in early} | {handle for handle, _, _ in deaths}
        return [each for each in found if each.received.handle not in gone]

    def _granted(self, queue: SqsQueue, taken: Sequence[Parked]) -> list[Lease]:
        return [
            self._leases.grant(queue.name, each.received, each.asked_at, each.lease_s, ends_at(queue, each.received))
            for each in taken
        ]


def once(found: Sequence[Parked]) -> list[Parked]:
    """Deliveries, each message once: a standard queue may give one twice, even to one take.

    One handle ends the message for all: with two leases on it, one would have it deleted while the other still runs.
    """
    kept: dict[str, Parked] = {}
    for each in found:
        other = kept.get(each.received.sqs_id)
        kept[each.received.sqs_id] = each if other is None else _newest(other, each)
    return list(kept.values())


def _given_again(taken: Sequence[Parked], again: Sequence[Parked]) -> list[Parked]:
    """What was taken, with the newest handles; what was hidden or buried meanwhile is as it was."""
    new = {each.received.sqs_id: each for each in once(again)}
    return [_newest(each, new[each.received.sqs_id]) if each.received.sqs_id in new else each for each in taken]


def _newest(one: Parked, other: Parked) -> Parked:
    """Two deliveries of one message as one, which is leased for as long as both are."""
    old, new = (one, other) if one.received.count <= other.received.count else (other, one)
    older = (*new.received.older, *old.received.older, old.received.handle)
    first = min(one, other, key=lambda each: each.asked_at + each.lease_s)
    received = msgspec.structs.replace(new.received, older=tuple(h for h in older if h != new.received.handle))
    return Parked(received, first.lease_s, first.asked_at, first.came_at)


def ends_at(queue: SqsQueue, found: Received) -> float:
    """The end of a message's time to live, Unix seconds: its own, else what its queue's gives it."""
    own = found.envelope.expires_at
    if queue.is_dead:
        return math.inf
    if found.is_ours or queue.settings.ttl_s is None:
        return own
    return min(own, found.envelope.message.sent_at + queue.settings.ttl_s)


def past_saving(queue: SqsQueue, found: Received, now: float) -> Death | None:
    """The death of a message that nobody may take any more; None while somebody may."""
    reason: Literal["expired", "lost"]
    attempts, most = found.attempts, queue.settings.max_receives
    if ends_at(queue, found) <= now:
        attempts -= 1  # this delivery is none
        reason, failure = "expired", Failure("Expired", "not processed within its time to live")
    elif most is not None and attempts > most and not queue.is_dead:
        attempts = most
        reason, failure = "lost", Failure("LeaseLost", f"{attempts} deliveries, the last one's lease ran out")
    else:
        return None
    return Death(reason, failure, queue.name, attempts, first_failed_at(found) or now, now)
