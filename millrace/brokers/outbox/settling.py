"""Settle: whose leases are still ours; rows, records and outputs in one transaction; put the outputs; acknowledge.

Small commits of a queue that come while others are under way go together next: one look at their leases, one
transaction, one put of their outputs, then one acknowledgement. Each is told of its own leases and suffers for nobody
else's message: what fails for all is done again for each alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from millrace.broker import Broker, Queue
from millrace.brokers.outbox.intake import WINDOW_S
from millrace.brokers.outbox.letters import Letters
from millrace.brokers.outbox.outputs import Outputs
from millrace.brokers.outbox.shared import Shared
from millrace.errors import BrokerError
from millrace.store import Ledger
from millrace.types import Commit, Outcome, Put

R = TypeVar("R")
_OVERLAP_S = 0.01  # nobody waits for longer until the commits before are through
_LATE_S = 1.0  # a commit that failed after that failed for everybody: the broker or the ledger is away
_MOST_OUTCOMES = 16  # of one that goes with others: a larger one has little to gain
_MOST_COMMITS = 64  # that go together
_OURS = ("held", "over")


class _Written(msgspec.Struct, frozen=True):
    """A commit whose effects are durable: what is to be said to the inner broker, and the receipts that had none."""

    plain: Commit
    lost: set[Hashable]


class Settling:
    """Carries out commits; all leases here are the inner broker's."""

    def __init__(
        self, inner: Broker, ledger: Ledger, outputs: Outputs, letters: Letters, queues: Mapping[str, Queue]
    ) -> None:
        self._inner = inner
        self._ledger = ledger
        self._outputs = outputs
        self._letters = letters
        self._queues = queues
        self._written: dict[str, Shared[Commit, _Written]] = {}
        self._acknowledged: dict[str, Shared[Commit, set[Hashable]]] = {}

    async def settle(self, commit: Commit) -> set[Hashable]:
        """Carry a commit out; the receipts of the leases that were lost."""
        queue = commit.queue
        if len(commit.outcomes) > _MOST_OUTCOMES:
            (written,) = await self._write(queue, [commit])
            (refused,) = await self._acknowledge(queue, [written.plain])
        else:
            (written,) = await self._shared(self._written, self._write, queue)([commit])
            (refused,) = await self._shared(self._acknowledged, self._acknowledge, queue)([written.plain])
        return written.lost | refused

    def forget(self, queue: str) -> None:
        """A queue is gone."""
        self._written.pop(queue, None)
        self._acknowledged.pop(queue, None)

    def _shared(
        self,
        kept: dict[str, Shared[Commit, R]],
        call: Callable[[str, Sequence[Commit]], Awaitable[Sequence[R]]],
        queue: str,
    ) -> Shared[Commit, R]:
        """What carries out that step for all who settle messages of a queue."""
        if queue not in kept:
            kept[queue] = Shared(partial(call, queue), most=_MOST_COMMITS, overlap_s=_OVERLAP_S, late_s=_LATE_S)
        return kept[queue]

    # ---- effects

    async def _write(self, queue: str, commits: Sequence[Commit]) -> list[_Written]:
        """Make the effects durable and put the outputs."""
        held = await self._held(commits)
        outcomes = [outcome for mine in held for outcome in mine]
        _check_deaths(outcomes)
        await self._outputs.check([put for outcome in outcomes for put in outcome.puts])
        late = await self._end(queue, [outcome for outcome in outcomes if outcome.verdict in ("done", "dead")])
        return [_written(commit, mine, late) for commit, mine in zip(commits, held, strict=True)]

    async def _held(self, commits: Sequence[Commit]) -> list[list[Outcome]]:
        """Of each commit, the outcomes whose leases nobody else has; nor has a commit before it ended them."""
        told = await self._inner.standing([each.lease for commit in commits for each in commit.outcomes])
        if len(commits) == 1:
            return [[each for each, stands in zip(commits[0].outcomes, told, strict=True) if stands in _OURS]]
        standing = iter(told)
        first: dict[Hashable, int] = {}
        return [
            [
                outcome
                for outcome in commit.outcomes
                if next(standing) in _OURS and first.setdefault(outcome.lease.receipt, number) == number
            ]
            for number, commit in enumerate(commits)
        ]

    async def _end(self, queue: str, ended: Sequence[Outcome]) -> set[Hashable]:
        """Write what ended and put its outputs; the receipts of those that came too late."""
        if not ended:
            return set()
        settings = self._queues.get(queue, Queue(queue, dedupe_s=WINDOW_S))
        written = Commit(queue, _without_copies(ended))
        late = await self._ledger.write(written, dedupe_s=settings.dedupe_s, dead_s=self._letters.kept_s(queue))
        counted = written.without(late).outcomes if late else written.outcomes
        waiting: dict[str, Sequence[Put]] = {each.lease.message.id: each.puts for each in counted if each.puts}
        if late:
            waiting |= await self._ledger.unsent(queue, [lease.message.id for lease in late])
        await self._outputs.send(queue, waiting)
        if len(counted) == len(ended):
            return set()
        return {outcome.lease.receipt for outcome in ended} - {outcome.lease.receipt for outcome in counted}

    # ---- acknowledgement

    async def _acknowledge(self, queue: str, commits: Sequence[Commit]) -> list[set[Hashable]]:
        """Tell the inner broker what became of the messages; the receipts of those whose ending it did not take.

        What is written is done, though its lease should have been lost meanwhile.
        """
        outcomes = [outcome for commit in commits for outcome in commit.outcomes]
        if not outcomes:
            return [set() for _ in commits]
        lost = {lease.receipt for lease in await self._inner.settle(Commit(queue, outcomes))}
        if not lost:
            return [set() for _ in commits]
        return [
            {outcome.lease.receipt for outcome in commit.outcomes if outcome.verdict != "done"} & lost
            for commit in commits
        ]


def _is_dead(outcome: Outcome) -> bool:
    return outcome.verdict == "dead"


def _without_copies(ended: Sequence[Outcome]) -> Sequence[Outcome]:
    """Of copies of one message one counts, done before dead."""
    chosen = {outcome.lease.message.id: outcome for outcome in ended}
    if len(chosen) < len(ended):
        chosen = {}
        for outcome in sorted(ended, key=_is_dead):
            chosen.setdefault(outcome.lease.message.id, outcome)
    return list(chosen.values())


def _check_deaths(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.verdict == "dead" and outcome.death is None:
            raise BrokerError(f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died")


def _written(commit: Commit, held: Sequence[Outcome], late: set[Hashable]) -> _Written:
    """A commit of which these outcomes were held; those whose receipts are `late` are done by somebody else."""
    plain = [
        Outcome(each.lease, "done")
        if each.verdict == "done" or each.lease.receipt in late
        else Outcome(each.lease, each.verdict, delay_s=each.delay_s, death=each.death)
        for each in held
    ]
    if len(held) == len(commit.outcomes) and not late:
        return _Written(Commit(commit.queue, plain), set())
    receipts = {each.lease.receipt for each in held}
    gone = {each.lease.receipt for each in commit.outcomes} - receipts
    return _Written(Commit(commit.queue, plain), gone | late & receipts)
