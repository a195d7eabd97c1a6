"""Takes: deliveries become leases; what is not due is given back, what is past saving becomes a dead letter."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from millrace.brokers.envelope import Envelope
from millrace.brokers.nats.fence import Fence, nak
from millrace.brokers.nats.letters import Letters
from millrace.brokers.nats.names import Place
from millrace.brokers.nats.notes import Note, Noted
from millrace.brokers.nats.puller import Puller
from millrace.brokers.nats.queue import Delivery, Held, NatsQueue
from millrace.brokers.nats.reading import envelope_in
from millrace.brokers.nats.wire import headers_in
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.types import Death, Failure, Lease

_log = logging.getLogger(__name__)
_MOST_AT_ONCE = 2000  # of one pull
_OLD, _STALE = 0.1, 0.9  # parts of a lease that have passed before it is taken: renew it; do not trust it
_BURY_AGAIN_S = 5.0  # after a burial that failed; at once it would be met by every take


class _Candidate(msgspec.Struct, gc=False):
    """A delivery that is looked at; `note` is what earlier deliveries left, `noted` ours where we had to write one."""

    delivery: Delivery
    envelope: Envelope
    due_at: float
    note: Note | None = None
    noted: Noted | None = None

    @property
    def place(self) -> Place:
        return self.delivery.place

    @property
    def attempts(self) -> int:
        """Deliveries that count, this one too."""
        uncounted = 0 if self.note is None else self.note.uncounted
        return self.envelope.attempts + self.place.delivery - uncounted

    @property
    def hidden_until(self) -> float:
        """When it may be taken, Unix seconds."""
        return self.due_at if self.note is None else self.note.hidden_until


class Taker:
    """Makes leases."""

    def __init__(self, fence: Fence, letters: Letters, clock: Clock) -> None:
        self._fence = fence
        self._letters = letters
        self._clock = clock

    async def take(
        self, queue: NatsQueue, puller: Puller, limit: int, max_bytes: int | None, lease_s: float | None
    ) -> list[Lease]:
        """Leases, oldest first; looks on behind what cannot be taken."""
        queue.sweep(self._clock.monotonic())
        leases: list[Lease] = []
        came: list[Delivery] = []
        room = math.inf if max_bytes is None else max_bytes
        more = True
        while more and len(leases) < limit and (room > 0 or not leases):
            wanted = min(limit - len(leases), _MOST_AT_ONCE)
            found: list[Delivery] = []
            try:
                found = puller.ready(wanted)
                more = bool(found)
                if not found:
                    found, more = await puller.pull(wanted, None if max_bytes is None else max(0, int(room)))
                found.sort(key=lambda each: each.place)
                fitting = _fitting(found, room, first=not leases)
                if len(fitting) < len(found):
                    await self._fence.give_back(queue, found[len(fitting) :])
                    more = False
                taken, failure = await self._lease(queue, puller, fitting, lease_s)
            except BrokerError:
                _hand_back(queue, puller, found)
                if not leases:
                    raise
                break  # what was leased before is the caller's; the next take says what is wrong
            except BaseException:  # nobody will hear of the leases
                _hand_back(queue, puller, found + [each for each in came if queue.held(each.place)])
                raise
            room -= sum(len(lease.message.body) for lease in taken)
            leases += taken
            came += found
            if failure is not None:
                if not leases:
                    raise failure
                break  # the next burial would fail too, and what was leased is waited for
        return leases

    async def _lease(
        self, queue: NatsQueue, puller: Puller, found: Sequence[Delivery], lease_s: float | None
    ) -> tuple[list[Lease], BrokerError | None]:
        """Leases of what may be taken, and why what may not be could not be buried, if it could not."""
        candidates = await self._dues(queue, [self._read(queue, each) for each in found])
        now, living, dead = self._clock.now(), [], []
        for each in candidates:
            death = self._death(queue, each, now)
            if death is None:
                living.append(each)
            else:
                dead.append((each, death))
        failure = await self._try_to_bury(queue, puller, dead) if dead else None
        return await self._leases(queue, living, lease_s), failure

    def _read(self, queue: NatsQueue, delivery: Delivery) -> _Candidate:
        envelope, due_at = envelope_in(delivery.place, headers_in(delivery.head), delivery.body, queue.settings.ttl_s)
        return _Candidate(delivery, envelope, due_at)

    async def _dues(self, queue: NatsQueue, candidates: list[_Candidate]) -> list[_Candidate]:
        """Those that may be taken now; a second delivery is noted, so that whoever had the first learns of it."""
        now = self._clock.now()
        again = [each for each in candidates if each.place.delivery > 1]
        if not again and not any(each.due_at > now for each in candidates):
            return candidates
        await self._note(queue, again, now)
        back: list[_Candidate] = []
        kept: list[_Candidate] = []
        for each in candidates:
            lost = each.place.delivery > 1 and each.noted is None
            (back if lost or each.hidden_until > now else kept).append(each)
        for each in back:
            await self._fence.give_back(queue, [each.delivery], each.hidden_until)
        return kept

    async def _note(self, queue: NatsQueue, again: Sequence[_Candidate], now: float) -> None:
        """Write down that these deliveries are the last, where nobody hides their messages."""
        held = {each.place: Held(each.place, each.delivery.ack, 0.0, 0.0) for each in again}
        candidates = {each.place: each for each in again}
        await self._fence.look(queue, list(held.values()))

        def claim(mine: Held, note: Note) -> Note | None:
            each = candidates[mine.place]
            each.note = None if mine.noted is None or not note.delivery else note
            if each.hidden_until > now or note.delivery > mine.place.delivery:
                return None
            retried = note.retried and self._death(queue, each, now) is not None  # a burial that fails is no try
            return msgspec.structs.replace(
                note, delivery=mine.place.delivery, free=False, retried=retried, hidden_until=0.0
            )

        for mine in await self._fence.change(queue, list(held.values()), claim):
            candidates[mine.place].noted = mine.noted

    def _death(self, queue: NatsQueue, each: _Candidate, now: float) -> Death | None:
        """Why nobody may take a message any more, None when somebody may."""
        most, tries = queue.settings.max_receives, each.attempts - 1
        if queue.is_dead:
            return None
        retried = each.note is not None and each.note.retried
        reason: Literal["expired", "lost", "failed"]
        if each.envelope.expires_at <= now:
            reason, failure = "expired", Failure("Expired", "not processed within its time to live")
        elif most is None or tries < most:
            return None
        elif retried:
            reason, failure = "failed", Failure("Failed", f"{tries} deliveries, none succeeded")
        else:
            reason, failure = "lost", Failure("LeaseLost", f"{tries} deliveries, the last one's lease ran out")
        first = (each.note.first_failed_at if each.note else 0.0) or each.envelope.first_failed_at or now
        return Death(reason, failure, queue.name, tries, first, now)

    async def _try_to_bury(
        self, queue: NatsQueue, puller: Puller, dead: Sequence[tuple[_Candidate, Death]]
    ) -> BrokerError | None:
        """Bury; where that fails, why, and a later take tries again."""
        try:
            await self._bury(queue, dead)
        except BrokerError as error:
            stay = "%d messages of %s that nobody may take any more stay for now: %s"
            _log.warning(stay, len(dead), queue.name, error)
            puller.hand_back([each.delivery for each, _ in dead], self._clock.now() + _BURY_AGAIN_S)
            return error
        return None

    async def _bury(self, queue: NatsQueue, dead: Sequence[tuple[_Candidate, Death]]) -> None:
        await self._letters.bury(queue, [(each.place, death) for each, death in dead])
        gone = [Held(each.place, each.delivery.ack, 0.0, 0.0, each.noted) for each, _ in dead]
        await self._fence.answer(queue, [(each, b"+ACK") for each in gone])
        await self._fence.forget(gone)

    async def _leases(self, queue: NatsQueue, living: Sequence[_Candidate], lease_s: float | None) -> list[Lease]:
        usual_s = queue.settings.lease_s
        wanted_s = usual_s if lease_s is None else lease_s
        now_s, now = self._clock.monotonic(), self._clock.now()
        words: list[tuple[Held, bytes]] = []
        leases: list[Lease] = []
        for each in living:
            delivery = each.delivery
            age_s = now_s - delivery.since
            if age_s > _STALE * usual_s:  # it was on its way for so long that somebody else may have it
                continue
            since, word = delivery.since, b""
            if wanted_s != usual_s:
                word = nak(wanted_s)
                since = now_s
            elif age_s > _OLD * usual_s:
                word = b"+WPI"
                since = now_s
            held = queue.hold(delivery, since, wanted_s, each.noted)
            leases.append(_lease(queue, each, held, now_s - now))
            if word:
                words.append((held, word))
        await self._fence.answer(queue, words)
        return leases


def _fitting(found: Sequence[Delivery], room: float, *, first: bool) -> Sequence[Delivery]:
    """As many as have room for their bodies, the very first in any case."""
    total = 0
    for at, each in enumerate(found):
        total += len(each.body)
        if total > room and not (first and at == 0):
            return found[:at]
    return found


def _hand_back(queue: NatsQueue, puller: Puller, deliveries: list[Delivery]) -> None:
    """Give back what a take got and does not give to its caller."""
    for each in deliveries:
        if queue.held(each.place):
            queue.let_go(each.place.sequence)
    puller.hand_back(deliveries)


def _lease(queue: NatsQueue, each: _Candidate, held: Held, monotonic_less_unix: float) -> Lease:
    first_failed_at = each.note.first_failed_at if each.note is not None else 0.0
    expires_at = each.envelope.expires_at
    return Lease(
        queue.name,
        each.envelope.message,
        each.place.receipt,
        each.attempts,
        held.expires_at,
        first_failed_at or each.envelope.first_failed_at,
        expires_at if expires_at == math.inf else expires_at + monotonic_less_unix,
        0.0,
        each.place.sequence,
    )
