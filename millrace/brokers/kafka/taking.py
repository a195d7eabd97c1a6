"""Takes: leases on what lies on the shelf; what is past saving becomes a dead letter."""

from __future__ import annotations

import math
from typing import Literal

from millrace.brokers.kafka.burial import Burial
from millrace.brokers.kafka.member import Member
from millrace.brokers.kafka.registry import Known
from millrace.brokers.kafka.shelf import LEASED, Item
from millrace.clock import Clock
from millrace.types import Death, Failure, Lease

Receipt = tuple[str, int, int, int, int]
"""The process, which of the queue's topics, the partition, the offset, the serial number of the lease."""


class Taking:
    """Makes leases, which this process alone knows; `process` tells them from another's."""

    def __init__(self, burial: Burial, clock: Clock, process: str) -> None:
        self._burial = burial
        self._clock = clock
        self._process = process
        self._serial = 0

    async def take(self, member: Member, limit: int, max_bytes: int | None, lease_s: float | None) -> list[Lease]:
        """Up to `limit` leases, and at least one where there is one."""
        await member.arrived(limit)
        known, now_s = member.known, self._clock.monotonic()
        duration_s = known.settings.lease_s if lease_s is None else lease_s
        taken: list[Item] = []
        dead: list[tuple[Item, Death]] = []
        room = math.inf if max_bytes is None else max_bytes
        while len(taken) < limit and (item := member.shelf.pop(now_s)) is not None:
            death = self._death(known, item)
            if death is not None:
                member.shelf.hide(item, LEASED, math.inf)  # until it is buried
                dead.append((item, death))
                continue
            room -= len(item.envelope.message.body)
            if room < 0 and taken:
                member.shelf.show(item)
                break
            taken.append(item)
        leases = [self._lease(member, item, now_s + duration_s) for item in taken]
        if duration_s <= 0:
            for item in taken:
                member.shelf.show(item)
        await self._bury(member, dead)
        return leases

    def _lease(self, member: Member, item: Item, until_s: float) -> Lease:
        self._serial += 1
        item.serial = self._serial
        item.attempts += 1
        now = self._clock.now()
        item.first_taken_at = item.first_taken_at or now
        member.shelf.hide(item, LEASED, until_s)
        count(member, item)
        expires_at = ends_at(member.known, item)
        ahead_s = self._clock.monotonic() - now
        receipt: Receipt = (self._process, *item.spot, item.serial)
        return Lease(
            member.known.name,
            item.envelope.message,
            receipt,
            item.attempts,
            until_s,
            item.envelope.first_failed_at,
            expires_at if expires_at == math.inf else expires_at + ahead_s,
        )

    def _death(self, known: Known, item: Item) -> Death | None:
        """Why nobody may take it any more."""
        most, now = known.settings.max_receives, self._clock.now()
        reason: Literal["expired", "lost", "failed"]
        if known.is_dead:
            return None
        if ends_at(known, item) <= now:
            reason, failure = "expired", Failure("Expired", "not processed within its time to live")
        elif most is None or item.attempts < most:
            return None
        elif item.envelope.first_failed_at:
            reason, failure = "failed", Failure("Failed", f"{item.attempts} deliveries, none succeeded")
        else:
            reason, failure = "lost", Failure("LeaseLost", f"{item.attempts} deliveries, the last one's lease ran out")
        return Death(reason, failure, known.name, item.attempts, item.envelope.first_failed_at or now, now)

    async def _bury(self, member: Member, dead: list[tuple[Item, Death]]) -> None:
        if not dead:
            return
        try:
            await self._burial.bury(member.known, [(item.envelope, death) for item, death in dead])
        except BaseException:
            for item, _ in dead:
                member.shelf.show(item)
            raise
        for item, _ in dead:
            member.shelf.remove(item)
            member.mark(item.part)
        await member.commit()


def count(member: Member, item: Item) -> None:
    """Let the deliveries of an item be remembered beside the committed offset."""
    progress = member.shelf.parts.get(item.part)
    if progress is not None:
        progress.count(item.spot[2], item.attempts - item.envelope.attempts)
        member.mark(item.part)


def ends_at(known: Known, item: Item) -> float:
    """The end of a message's time to live, Unix seconds; of one that others put, by the queue's."""
    return math.inf if known.is_dead else item.envelope.expires_at
