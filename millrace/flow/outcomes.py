"""What becomes of each message: done with its effects, tried again later, or a dead letter that says why."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from millrace.aws.batch_response import ITEM_FAILURE
from millrace.clock import Clock
from millrace.flow.destinations import Destinations
from millrace.flow.sinks import Sinks
from millrace.types import Death, Failure, Lease, Outcome, Record

Result = bytes | Failure  # of one message: JSON, or why not
Reason = Literal["failed", "dead", "expired"]
_LEASE_END = math.inf  # the delay of a message that comes back by itself, when its lease ends


class Rules(msgspec.Struct, frozen=True):
    """Which failures are tried again, how often and how much later.

    `call`: somebody waits for the answer, and a failure is one; nothing is retried and no dead letter is kept.
    `max_age_s`: what is older, or would be at its next try, is given up. `at_lease_end`: a failed message is left to
    its lease, as on SQS. `hold`: what follows a retried message of its group waits for it. `stream`: what follows a
    record that a handler named in its answer is read again with it, and is not to blame. `fifo`: the messages without
    a group are one, too.
    """

    max_receives: int | None
    call: bool = False
    base_s: float = 1.0
    max_s: float = 300.0
    jitter: bool = True
    max_age_s: float = math.inf
    at_lease_end: bool = False
    hold: bool = True
    stream: bool = False
    fifo: bool = False
    retry_on: tuple[str, ...] = ()
    dead_on: tuple[str, ...] = ()


def is_left_to_its_lease(outcome: Outcome) -> bool:
    """Whether nothing is to be settled: the message comes back when its lease ends, its attempt counted.

    So a handler that changes its message's visibility before it fails has its way.
    """
    return outcome.delay_s == _LEASE_END and outcome.verdict == "retry"


def _same(named: Sequence[str], failure: Failure) -> bool:
    """Whether one of the dotted names means the failure's exception or a base of it.

    A class is known by its package and its own name, since people write `requests.Timeout` for what Python calls
    `requests.exceptions.Timeout`, and `ValueError` for `builtins.ValueError`.
    """
    return not {_ends(name) for name in named}.isdisjoint(_ends(name) for name in (failure.type, *failure.mro))


def _ends(dotted: str) -> tuple[str, str]:
    parts = dotted.removeprefix("builtins.").split(".")
    return (parts[0] if len(parts) > 1 else "", parts[-1])


class Decider:
    """Turns results into outcomes for one function."""

    def __init__(
        self,
        function: str,
        rules: Rules,
        sinks: Sinks,
        clock: Clock,
        *,
        destinations: Destinations | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._function = function
        self._rules = rules
        self._sinks = sinks
        self._clock = clock
        self._destinations = destinations
        self._jitter = jitter

    @property
    def at_lease_end(self) -> bool:
        """Whether a failed message is left to its lease."""
        return self._rules.at_lease_end

    def decide(
        self,
        leases: Sequence[Lease],
        results: Sequence[Result],
        *,
        version: str,
        started_at: float,
        held: set[str],
        request_id: str = "",
    ) -> list[Outcome]:
        """One outcome for each lease, in order.

        `started_at` is the Unix time at which the batch was handed to a replica. `held` collects the message groups
        of this batch in which a message is to be retried: what follows in such a group is given back, to keep order.
        """
        now = self._clock.now()
        outcomes = []
        behind = False
        for lease, result in zip(leases, results, strict=True):
            if behind or (held and lease.message.group in held):
                outcomes.append(Outcome(lease, "release"))
                continue
            if not isinstance(result, Failure):
                outcomes.append(self._done(lease, result, version, started_at, now))
                continue
            outcome = self._failed(lease, result, version, started_at, now)
            if outcome.verdict == "retry" and (line := self.line_of(lease)) is not None:
                held.add(line)
            behind = self._rules.stream and result.type == ITEM_FAILURE
            outcomes.append(outcome)
        return self._handed_over(outcomes, request_id, now)

    def record(self, lease: Lease, result: Result, *, version: str, started_at: float) -> Record:
        """What became of a call, which is done whether or not it failed: nobody but its caller hears of it."""
        now = self._clock.now()
        if isinstance(result, Failure):
            return self._record_of_failure(lease, result, version, started_at, now)
        return self._record_of_value(lease, result, version, started_at, now)

    def line_of(self, lease: Lease) -> str | None:
        """The group in which nothing may overtake a message that is tried again; None where it may."""
        group = lease.message.group
        return group if self._rules.hold and (group or self._rules.fifo) else None

    def too_old(self, lease: Lease) -> bool:
        """Whether a message that was just taken is past the age at which it is given up."""
        return self._clock.now() - lease.message.sent_at > self._rules.max_age_s

    def give_up(self, leases: Sequence[Lease]) -> list[Outcome]:
        """What becomes of messages that are too old to be run."""
        failure = Failure("Expired", f"not processed within {self._rules.max_age_s:g} s of being sent")
        return self._never_run([(lease, failure) for lease in leases], "expired")

    def unjudged(self, found: Sequence[tuple[Lease, Exception]]) -> list[Outcome]:
        """What becomes of messages of which nobody can say whether the filter lets them pass."""
        said = "the filter cannot judge this message: {}: {}"
        failures = [
            (lease, Failure("Unfilterable", said.format(type(error).__name__, error))) for lease, error in found
        ]
        return self._never_run(failures, "dead")

    def _never_run(self, failures: Sequence[tuple[Lease, Failure]], reason: Reason) -> list[Outcome]:
        """Deaths before a run: whoever is told of them is told of the deliveries that were run."""
        now = self._clock.now()
        outcomes = []
        for lease, failure in failures:
            lease = msgspec.structs.replace(lease, attempt=lease.attempt - 1)
            outcomes.append(self._dead(lease, failure, reason, "", 0.0, now))
        return self._handed_over(outcomes, "", now)

    def refused(self, outcome: Outcome, failure: Failure) -> Outcome:
        """What becomes of a message whose result could not be written where it belongs."""
        record = outcome.record
        version, started_at = (record.version, record.started_at) if record else ("", 0.0)
        now = self._clock.now()
        return self._handed_over([self._failed(outcome.lease, failure, version, started_at, now)], "", now)[0]

    def _handed_over(self, outcomes: list[Outcome], request_id: str, now: float) -> list[Outcome]:
        """The same outcomes, but that the dead whom a destination takes are no dead letters of their queue."""
        dead = [outcome for outcome in outcomes if outcome.verdict == "dead"] if self._destinations else []
        puts = self._destinations.given_up(dead, request_id, now) if self._destinations and dead else None
        if puts is None:
            return outcomes
        taken = {outcome.lease.receipt: () for outcome in dead} | {dead[0].lease.receipt: tuple(puts)}
        return [
            msgspec.structs.replace(outcome, verdict="done", death=None, puts=taken[outcome.lease.receipt])
            if outcome.verdict == "dead"
            else outcome
            for outcome in outcomes
        ]

    def _done(self, lease: Lease, value: bytes, version: str, started_at: float, now: float) -> Outcome:
        effects = self._sinks.effects(lease, value, now)
        record = self._record_of_value(lease, value, version, started_at, now)
        puts = effects.puts
        if self._destinations is not None:
            puts = (*puts, *self._destinations.succeeded(lease, value, now))
        return Outcome(lease, "done", record, effects.rows, effects.objects, effects.posts, puts)

    def _failed(self, lease: Lease, failure: Failure, version: str, started_at: float, now: float) -> Outcome:
        delay_s = self._delay_s(lease, failure)
        reason = self._fatal(lease, failure)
        if reason is None and now + delay_s - lease.message.sent_at > self._rules.max_age_s:
            reason = "expired"
        if reason is None:
            return Outcome(lease, "retry", delay_s=delay_s)
        return self._dead(lease, failure, reason, version, started_at, now)

    def _dead(
        self, lease: Lease, failure: Failure, reason: Reason, version: str, started_at: float, now: float
    ) -> Outcome:
        record = self._record_of_failure(lease, failure, version, started_at, now)
        if self._rules.call:
            return Outcome(lease, "done", record)
        death = Death(
            reason=reason,
            failure=failure,
            queue=lease.queue,
            attempts=lease.attempt,
            first_failed_at=lease.first_failed_at or self._first_failure_s(lease) or now,
            last_failed_at=now,
            function=self._function,
            version=version,
        )
        return Outcome(lease, "dead", record, death=death)

    def _first_failure_s(self, lease: Lease) -> float:
        """When a message that is left to its lease failed first, as near as is known: its first delivery, else 0."""
        return lease.first_taken_at if self._rules.at_lease_end and lease.attempt > 1 else 0.0

    def _record_of_value(self, lease: Lease, value: bytes, version: str, started_at: float, now: float) -> Record:
        message = lease.message
        return Record(
            message.id,
            lease.queue,
            "done",
            msgspec.Raw(value),
            None,
            lease.attempt,
            self._function,
            version,
            message.sent_at,
            started_at,
            now,
        )

    def _record_of_failure(self, lease: Lease, failure: Failure, version: str, started_at: float, now: float) -> Record:
        return Record(
            id=lease.message.id,
            queue=lease.queue,
            state="dead",
            failure=failure,
            attempts=lease.attempt,
            function=self._function,
            version=version,
            accepted_at=lease.message.sent_at,
            started_at=started_at,
            finished_at=now,
        )

    def _fatal(self, lease: Lease, failure: Failure) -> Reason | None:
        """Why this failure is the last, or None: first the code's own word, then the rules, then the count."""
        rules = self._rules
        if rules.call:
            return "failed"
        if failure.retry is False or (failure.retry is None and _same(rules.dead_on, failure)):
            return "dead"
        if failure.retry is None and rules.retry_on and not _same(rules.retry_on, failure):
            return "dead"
        spent = rules.max_receives is not None and lease.attempt >= rules.max_receives
        return "failed" if spent else None

    def _delay_s(self, lease: Lease, failure: Failure) -> float:
        """base x 2^n with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter")."""
        if failure.after_s is not None:
            return failure.after_s
        if self._rules.at_lease_end:
            return _LEASE_END
        ceiling = min(self._rules.max_s, self._rules.base_s * 2.0 ** min(lease.attempt - 1, 62))
        return ceiling * self._jitter() if self._rules.jitter else ceiling
