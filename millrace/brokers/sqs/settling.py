"""The end of leases: each outcome's own way, all of them at the same time; and leases that go on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from millrace.brokers.sqs.batches import Answer
from millrace.brokers.sqs.directory import Directory
from millrace.brokers.sqs.endings import Endings
from millrace.brokers.sqs.leases import Held, Leases
from millrace.brokers.sqs.queue import MAX_LEASE_S, SqsQueue
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.types import Commit, Death, Failure, Lease, Outcome


class _Ours(NamedTuple):
    outcome: Outcome
    held: Held


class Settling:
    """Settles and extends leases."""

    def __init__(self, directory: Directory, endings: Endings, leases: Leases, clock: Clock) -> None:
        self._directory = directory
        self._endings = endings
        self._leases = leases
        self._clock = clock

    async def settle(self, queue: SqsQueue, commit: Commit) -> list[Lease]:
        """Carry out outcomes; those that were lost, or that SQS did not take though it took others.

        Raises BrokerError where it took none: then nothing was done.
        """
        ours = [
            _Ours(outcome, held)
            for outcome in commit.outcomes
            if (held := self._leases.find(queue.name, outcome.lease.receipt)) is not None
        ]
        deaths = {place: death for place, each in enumerate(ours) if (death := self._death(queue, each)) is not None}
        done = [place for place, each in enumerate(ours) if each.outcome.verdict == "done"]
        hidden = [place for place in range(len(ours)) if place not in deaths and ours[place].outcome.verdict != "done"]
        buried, deleted, hid = await asyncio.gather(
            self._bury(queue, [(ours[place].held, death) for place, death in deaths.items()]),
            self._endings.delete(queue, [ours[place].held.handle for place in done]),
            self._endings.hide(queue, [(ours[place].held.handle, self._pause_s(ours[place])) for place in hidden]),
        )
        answers = dict(zip([*deaths, *done, *hidden], [*buried, *deleted, *hid], strict=True))
        await self._directory.check(queue, list(answers.values()), "settle messages")
        taken = {ours[place].outcome.lease.receipt for place, answer in answers.items() if isinstance(answer, dict)}
        ended = [ours[place] for place in (*deaths, *done) if ours[place].outcome.lease.receipt in taken]
        # Only now, and whatever is said of it: the newest handle has ended the message, as far as SQS counts right.
        await self._endings.delete(queue, [handle for each in ended for handle in each.held.older])
        for each in ours:
            self._leases.end(each.outcome.lease.receipt)
        return [outcome.lease for outcome in commit.outcomes if outcome.lease.receipt not in taken]

    async def extend(self, queue: SqsQueue, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        """Renew leases, as far as SQS takes it. Raises BrokerError where it took none."""
        now_s = self._clock.monotonic()
        wanted_s = min(MAX_LEASE_S, math.ceil(lease_s))
        found = [(lease, self._leases.find(queue.name, lease.receipt)) for lease in leases]
        ours = [
            (lease, held, min(wanted_s, math.floor(held.room_s(now_s)))) for lease, held in found if held is not None
        ]
        answers = await self._endings.hide(queue, [(held.handle, seconds) for _, held, seconds in ours])
        await self._directory.check(queue, answers, "extend leases")
        extended = []
        for (lease, held, seconds), answer in zip(ours, answers, strict=True):
            if isinstance(answer, dict):
                held.expires_at = now_s + seconds
                extended.append(msgspec.structs.replace(lease, expires_at=now_s + seconds))
            if not seconds or not isinstance(answer, dict):
                self._leases.end(lease.receipt)
        return extended

    def _pause_s(self, each: _Ours) -> float:
        """How long a message stays hidden that is given back; SQS has no more than twelve hours."""
        if each.outcome.verdict == "release":
            return 0.0
        return min(each.outcome.delay_s, each.held.room_s(self._clock.monotonic()))

    def _death(self, queue: SqsQueue, each: _Ours) -> Death | None:
        """Why a message is to be buried: it was said, or this was the last of its tries."""
        outcome, held, most = each.outcome, each.held, queue.settings.max_receives
        if outcome.verdict == "dead":
            if outcome.death is None:
                raise BrokerError(
                    f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died"
                )
            death = outcome.death
        elif outcome.verdict == "retry" and most is not None and held.attempt >= most and not queue.is_dead:
            now = self._clock.now()
            failure = Failure("Failed", f"{held.attempt} deliveries, none succeeded")
            death = Death("failed", failure, queue.name, held.attempt, outcome.lease.first_failed_at or now, now)
        else:
            return None
        if held.envelope is None:
            raise BrokerError(
                f"a message of {queue.name} cannot become a dead letter: another process took it",
                "let the process that took it say so: SQS gives a message's body only to who takes it",
            )
        return death

    async def _bury(self, queue: SqsQueue, deaths: Sequence[tuple[Held, Death]]) -> list[Answer]:
        letters = [(held.handle, held.envelope, death) for held, death in deaths if held.envelope is not None]
        return await self._endings.bury(queue, letters) if letters else []
