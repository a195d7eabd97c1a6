"""Settles and renewals: copies first (retries, dead letters), then one commit of all that is done."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millrace.broker import Standing
from millrace.brokers.envelope import Envelope
from millrace.brokers.kafka.burial import Burial
from millrace.brokers.kafka.letters import Record
from millrace.brokers.kafka.member import Member
from millrace.brokers.kafka.names import Names
from millrace.brokers.kafka.publisher import Publisher
from millrace.brokers.kafka.shelf import LEASED, Item
from millrace.brokers.kafka.taking import count
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.types import Commit, Death, Failure, Lease, Outcome

Ours = tuple[Outcome, Item]


class Settling:
    """Ends and renews leases of this process; those of others are lost to it."""

    def __init__(self, burial: Burial, publisher: Publisher, names: Names, clock: Clock, process: str) -> None:
        self._burial = burial
        self._publisher = publisher
        self._names = names
        self._clock = clock
        self._process = process

    async def settle(self, member: Member, commit: Commit) -> list[Lease]:
        """Carry out outcomes; the leases that were lost."""
        ours = [
            (outcome, item) for outcome in commit.outcomes if (item := self._find(member, outcome.lease)) is not None
        ]
        for _, item in ours:
            item.serial = 0  # whatever comes of it, this lease has ended
        try:
            await self._copy(member, ours)
        except BaseException:
            for outcome, item in ours:
                item.serial = _serial(outcome.lease)
            raise
        kept = {outcome.lease.receipt for outcome, item in ours if self._end(member, outcome, item)}
        if any(outcome.verdict != "release" for outcome, _ in ours):
            await member.commit()
            kept -= {outcome.lease.receipt for outcome, item in ours if item.part not in member.shelf.parts}
        return [outcome.lease for outcome in commit.outcomes if outcome.lease.receipt not in kept]

    def extend(self, member: Member, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Renew leases; with 0 their messages are visible at once."""
        extended, until = [], self._clock.monotonic() + lease_s
        for lease in leases:
            item = self._find(member, lease)
            if item is None:
                continue
            if lease_s > 0:
                member.shelf.hide(item, LEASED, until)
            else:
                member.shelf.show(item)
                member.wake()
            extended.append(msgspec.structs.replace(lease, expires_at=until))
        return extended

    def standing(self, member: Member, lease: Lease) -> Standing:
        """What a lease is worth."""
        spot = self._spot(lease)
        if spot is None or spot[:2] not in member.shelf.parts:
            return "lost"
        item = member.shelf.items.get(spot)
        if item is None:
            return "gone"
        if item.serial != _serial(lease):
            return "lost"
        return "held" if item.state == LEASED and item.visible_at > self._clock.monotonic() else "over"

    async def _copy(self, member: Member, ours: Sequence[Ours]) -> None:
        """Store what must be there before its message is settled."""
        copies: list[Record] = []
        dead: list[tuple[Envelope, Death]] = []
        for outcome, item in ours:
            if outcome.verdict == "dead":
                dead.append((item.envelope, _death(outcome)))
            elif outcome.verdict == "retry":
                copy = self._again(member, outcome, item)
                if isinstance(copy, Death):
                    dead.append((item.envelope, copy))
                else:
                    copies.append(copy)
        if dead:
            await self._burial.bury(member.known, dead)
        await self._publisher.put(copies)

    def _again(self, member: Member, outcome: Outcome, item: Item) -> Record | Death:
        """A retry's copy; or its death, when this was the last try."""
        now, known = self._clock.now(), member.known
        first = item.envelope.first_failed_at or now
        most = known.settings.max_receives
        if most is not None and item.attempts >= most and not known.is_dead:
            failure = Failure("Failed", f"{item.attempts} deliveries, none succeeded")
            return Death("failed", failure, known.name, item.attempts, first, now)
        envelope = msgspec.structs.replace(item.envelope, attempts=item.attempts, first_failed_at=first)
        due_at = now + outcome.delay_s if outcome.delay_s > 0 else 0.0
        return Record(self._names.topics(known.name)[-1], envelope, due_at)

    def _end(self, member: Member, outcome: Outcome, item: Item) -> bool:
        """Whether it was ours to the end."""
        if member.shelf.items.get(item.spot) is not item:
            return False
        if outcome.verdict == "release":
            item.attempts -= 1
            if item.attempts == item.envelope.attempts:
                item.first_taken_at = 0.0
            count(member, item)
            member.shelf.show(item)
            member.wake()
            return True
        member.shelf.remove(item)
        member.mark(item.part)
        return True

    def _find(self, member: Member, lease: Lease) -> Item | None:
        spot = self._spot(lease)
        item = None if spot is None else member.shelf.items.get(spot)
        return item if item is not None and item.serial == _serial(lease) else None

    def _spot(self, lease: Lease) -> tuple[int, int, int] | None:
        match lease.receipt:
            case (self._process, int(topic), int(partition), int(offset), int(_)):
                return topic, partition, offset
        return None


def _serial(lease: Lease) -> int:
    return lease.receipt[4] if isinstance(lease.receipt, tuple) else 0


def _death(outcome: Outcome) -> Death:
    if outcome.death is None:
        raise BrokerError(f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died")
    return outcome.death
