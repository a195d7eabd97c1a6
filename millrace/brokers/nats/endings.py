"""Settles and renewals: first whose each message is, then notes and dead letters, and last the answer to JetStream."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millrace.broker import Standing
from millrace.brokers.nats.api import Api
from millrace.brokers.nats.fence import Fence, if_ours, nak
from millrace.brokers.nats.letters import Letters
from millrace.brokers.nats.names import Place, place_in
from millrace.brokers.nats.notes import Note
from millrace.brokers.nats.queue import Held, NatsQueue, renew
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.types import Commit, Death, Lease, Outcome

_SETTLING_S = 10.0  # for which a message whose lease ran out is kept from others while it is settled


class Endings:
    """Ends leases, or renews them."""

    def __init__(self, api: Api, fence: Fence, letters: Letters, clock: Clock) -> None:
        self._api = api
        self._fence = fence
        self._letters = letters
        self._clock = clock

    async def settle(self, queue: NatsQueue, commit: Commit) -> list[Lease]:
        """Carry out verdicts; the leases that were lost. Raises BrokerError; then it may be called again."""
        for outcome in commit.having("dead"):
            if outcome.death is None:
                raise BrokerError(
                    f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died"
                )
        places = [_place(outcome.lease) for outcome in commit.outcomes]
        ours = await self._fence.ours(queue, places, _SETTLING_S)
        outcomes: dict[Place, Outcome] = {}
        lost = []
        for place, outcome in zip(places, commit.outcomes, strict=True):
            if place in ours:
                outcomes[place] = outcome
            else:
                lost.append(outcome.lease)
        kept = await self._give_back(queue, ours, outcomes)
        lost += [outcomes[place].lease for place in outcomes if place not in kept]
        await self._letters.bury(queue, [(place, death) for place, death in _deaths(outcomes) if place in kept])
        await self._fence.answer(queue, [(ours[place], _verdict(outcomes[place])) for place in sorted(kept)])
        await self._forget(queue, [ours[place] for place in kept], outcomes)
        return lost

    async def extend(self, queue: NatsQueue, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Renew those leases that are ours; by their notes where JetStream would not know of it."""
        places = {_place(lease): lease for lease in leases}
        now_s, now = self._clock.monotonic(), self._clock.now()
        ours = await self._fence.ours(queue, list(places), lease_s)
        noted = [each for each in ours.values() if each.noted is not None and each.noted.note.hidden_until > now]

        def hide(each: Held, note: Note) -> Note | None:
            return msgspec.structs.replace(note, hidden_until=now + lease_s if lease_s > 0 else 0.0)

        changed = {each.place for each in await self._fence.change(queue, noted, if_ours(hide))}
        kept = [each for each in ours.values() if each not in noted or each.place in changed]
        usual = lease_s == queue.settings.lease_s
        await self._fence.answer(queue, [(each, b"+WPI" if usual else nak(lease_s)) for each in kept])
        for each in kept:
            renew(each, now_s, lease_s)
        return [msgspec.structs.replace(places[each.place], expires_at=each.expires_at) for each in kept]

    async def standing(self, queue: NatsQueue, lease: Lease) -> Standing:
        """What a lease is worth; of another process's it is not known whether it has run out."""
        place, now_s = _place(lease), self._clock.monotonic()
        held = queue.held(place)
        if held is not None and now_s < held.sure_until:
            return "held"
        (stored,) = await self._api.at(queue.stream, [place.sequence])
        if stored is None or stored.stored_ns != place.stored_ns:
            return "gone"
        look = Held(place, b"", 0.0, 0.0)
        await self._fence.look(queue, [look])
        note = None if look.noted is None else look.noted.note
        if queue.overtaken(place) or (note is not None and (note.delivery, note.free) > (place.delivery, False)):
            return "lost"
        return "held" if held is None and note is None else "over"

    async def _give_back(self, queue: NatsQueue, ours: dict[Place, Held], outcomes: dict[Place, Outcome]) -> set[Place]:
        """Note what is released or to be tried again; the places of all outcomes that stay in force."""
        back = [ours[place] for place, outcome in outcomes.items() if outcome.verdict in ("retry", "release")]
        if not back:
            return set(outcomes)
        now = self._clock.now()

        def free(each: Held, note: Note) -> Note | None:
            outcome = outcomes[each.place]
            if outcome.verdict == "release":
                uncounted = note.uncounted + 1
                return msgspec.structs.replace(
                    note, delivery=each.place.delivery, uncounted=uncounted, free=True, hidden_until=0.0
                )
            hidden_until = now + outcome.delay_s if outcome.delay_s > 0 else 0.0
            return msgspec.structs.replace(
                note,
                delivery=each.place.delivery,
                free=True,
                retried=True,
                hidden_until=hidden_until,
                first_failed_at=note.first_failed_at or outcome.lease.first_failed_at or now,
            )

        # What a settle had noted before it failed is in force: asked again, the note would say that it was lost.
        for each in await self._fence.change(queue, [each for each in back if not each.freed], if_ours(free)):
            each.freed = True
        return {
            place for place, outcome in outcomes.items() if outcome.verdict in ("done", "dead") or ours[place].freed
        }

    async def _forget(self, queue: NatsQueue, ended: Sequence[Held], outcomes: dict[Place, Outcome]) -> None:
        for each in ended:
            queue.let_go(each.place.sequence)
        await self._fence.forget([each for each in ended if outcomes[each.place].verdict in ("done", "dead")])


def _place(lease: Lease) -> Place:
    """What a receipt means, which may have come from outside. Raises BrokerError."""
    place = place_in(lease.receipt)
    if place is None:
        raise BrokerError(f"{lease.receipt!r} is not a receipt of this broker", "settle a lease where it was taken")
    return place


def _deaths(outcomes: dict[Place, Outcome]) -> list[tuple[Place, Death]]:
    return [
        (place, outcome.death) for place, outcome in outcomes.items() if outcome.verdict == "dead" and outcome.death
    ]


def _verdict(outcome: Outcome) -> bytes:
    if outcome.verdict in ("done", "dead"):
        return b"+ACK"
    return nak(outcome.delay_s if outcome.verdict == "retry" else 0.0)
