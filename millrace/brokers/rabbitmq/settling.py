"""Carrying out a commit: what is to come back changed is published first, then the old deliveries are acknowledged."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec

from millrace.broker import DEAD_SUFFIX, Queue, dead_letters
from millrace.brokers.rabbitmq import deaths
from millrace.brokers.rabbitmq.publisher import Copy
from millrace.brokers.rabbitmq.sender import Sender
from millrace.brokers.rabbitmq.shelf import Item, Shelf
from millrace.brokers.rabbitmq.tap import Tap
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.types import Commit, Death, Lease, Outcome


class Settling:
    """Ends leases."""

    def __init__(self, sender: Sender, clock: Clock, known: Callable[[str], Queue | None]) -> None:
        self._sender = sender
        self._clock = clock
        self._known = known

    async def settle(self, tap: Tap, commit: Commit) -> list[Lease]:
        """Do with each message what its outcome says; the leases that were lost. Raises BrokerError."""
        shelf = tap.shelf
        lost: list[Lease] = []
        done: list[Item] = []
        changed: list[tuple[Item, Outcome]] = []
        for outcome in commit.outcomes:
            if outcome.verdict == "dead" and outcome.death is None:
                id = outcome.lease.message.id
                raise BrokerError(f"message {id}: verdict dead without a death", "say why it died")
        for outcome in commit.outcomes:
            item = shelf.find(outcome.lease)
            if item is None:
                lost.append(outcome.lease)
            elif outcome.verdict == "release":
                shelf.settling(item)
                shelf.release(item)
            else:
                shelf.settling(item)
                if outcome.verdict == "done":
                    done.append(item)
                else:
                    changed.append((item, outcome))
        if done:
            tap.done(done)
        if changed:
            await self._change(tap, changed)
        if len(done) + len(changed) + len(lost) < len(commit.outcomes):
            tap.set_alarm()
            tap.wake()
        return lost

    async def replace(self, tap: Tap, items: list[Item], copies: list[Copy]) -> None:
        """Put copies where deliveries were. Raises BrokerError; then the deliveries are there still."""

        async def made() -> list[Copy]:
            return copies

        await self._publish(tap, items, made)

    async def recall(self, tap: Tap, items: list[Item]) -> None:
        """Give back what nobody has begun: as copies behind the others, since the broker counts what comes back.

        Raises BrokerError; then they are here still.
        """
        shelf = tap.shelf
        native_end = shelf.settings.dead_to is None
        copies = []
        for item in items:
            found = shelf.read(item)
            envelope = msgspec.structs.replace(found.envelope, attempts=shelf.attempts(item))
            copies.append(self._sender.copy(shelf.settings.name, envelope, native_end=native_end, kept=found.kept))
        await self.replace(tap, items, copies)

    async def bury(self, tap: Tap, doomed: list[tuple[Item, Death]]) -> None:
        """Make dead letters of what nobody may take any more. Raises BrokerError; then it is here still."""
        await self._publish(tap, [item for item, _ in doomed], lambda: self._letters(tap.shelf, doomed))

    async def _change(self, tap: Tap, changed: list[tuple[Item, Outcome]]) -> None:
        async def copies() -> list[Copy]:
            made = []
            for item, outcome in changed:
                if outcome.death is not None and outcome.verdict == "dead":
                    made += await self._letters(tap.shelf, [(item, outcome.death)])
                else:
                    made.append(await self._again(tap.shelf, item, outcome))
            return made

        await self._publish(tap, [item for item, _ in changed], copies)

    async def _publish(self, tap: Tap, items: list[Item], copies: Callable[[], Awaitable[list[Copy]]]) -> None:
        """Publish what takes the place of deliveries, then acknowledge them, if they are ours still."""
        generation = tap.shelf.generation
        try:
            await self._sender.send(await copies())
        except BaseException:
            if tap.shelf.generation == generation:
                for item in items:
                    tap.shelf.resume(item)
            raise
        if tap.shelf.generation == generation:
            tap.done(items)
        tap.stale = True
        tap.wake()

    async def _again(self, shelf: Shelf, item: Item, outcome: Outcome) -> Copy:
        found, settings = shelf.read(item), shelf.settings
        envelope = msgspec.structs.replace(
            found.envelope,
            attempts=shelf.attempts(item),
            first_failed_at=found.envelope.first_failed_at or self._clock.now(),
            first_taken_at=item.first_taken_at,
        )
        if outcome.delay_s > 0:
            return await self._sender.later(settings.name, envelope, outcome.delay_s, kept=found.kept)
        return self._sender.copy(settings.name, envelope, native_end=settings.dead_to is None, kept=found.kept)

    async def _letters(self, shelf: Shelf, doomed: list[tuple[Item, Death]]) -> list[Copy]:
        settings = shelf.settings
        target = self._known(settings.dead_to) if settings.dead_to else None
        made = []
        for item, death in doomed:
            envelope, kept = shelf.read(item).envelope, shelf.read(item).kept
            if target is None:
                letter = deaths.letter(envelope, death, None)
                made.append(self._sender.copy(dead_letters(settings.name), letter, kept=kept))
            else:
                ends = math.inf if target.ttl_s is None else self._clock.now() + target.ttl_s
                moved = deaths.letter(envelope, death, settings.name, ends)
                made.append(self._sender.copy(target.name, moved, native_end=target.dead_to is None, kept=kept))
        return made


def doom(shelf: Shelf, item: Item, now: float) -> Death | None:
    """Why a message may not be taken any more; None while it may. Dead letters always may."""
    found = item.read or shelf.read(item)
    envelope = found.envelope
    if envelope.expires_at > now and not (envelope.attempts or found.deliveries or item.given):
        return None
    if shelf.settings.name.endswith(DEAD_SUFFIX):
        return None
    return deaths.past_saving(found, shelf.settings, shelf.attempts(item), item.given, now)
