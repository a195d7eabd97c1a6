"""A broker against a small model: Hypothesis tries sequences of verbs until one tells them apart.

    from millrace.testing.machine import broker_machine
    TestMine = broker_machine(fresh).TestCase

`fresh` is what check_broker takes. The model knows of each message where it is and how often it was given; it does
not choose which messages a take returns, but holds whatever it returned to the rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from millrace.broker import DEAD_FROM_ATTRIBUTE, Queue, dead_letters
from millrace.testing.bench import BrokerBench, outcome
from millrace.testing.broker import FreshBroker
from millrace.types import Accepted, Commit, Lease, Message, Put, Verdict

T = TypeVar("T")
_LEASE_UNITS = 10.0
_MAX_RECEIVES = 2
_IDS = st.sampled_from([f"m{number}" for number in range(12)])
_GROUPS = "ab"
_KEYS = st.sampled_from(["", "", "k", "l"])
_VERDICTS = st.sampled_from(["done", "retry", "dead", "release"])


def group_of(id: str) -> str:
    """The group of a message in a queue that has groups; ids are `m0`, `m1` and so on."""
    return _GROUPS[int(id[1:]) % len(_GROUPS)]


class Known:
    """What the model knows of a message; `due` is the unit of time at which it can be taken again."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.due = 0.0
        self.attempts = 0
        self.lease: Lease | None = None

    def is_in_flight(self, now: float) -> bool:
        """Whether its lease runs."""
        return self.lease is not None and self.due > now


class BrokerMachine(RuleBasedStateMachine):
    """One queue, where its dead letters go, and time; `fresh` and `fifo` are set by `broker_machine`."""

    fresh: FreshBroker
    fifo: bool

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.context = type(self).fresh()
        self.bench: BrokerBench = self.run(self.context.__aenter__())
        self.waiting: dict[str, Known] = {}
        self.dead: set[str] = set()
        self.letters: set[str] = set()  # those in a queue of their own
        self.settled: set[str] = set()
        self.firsts: dict[str, Accepted] = {}  # what the next put with a dedupe key is answered
        self.leases: list[Lease] = []  # all that were ever given
        self.now = 1.0  # so that what is due now is told apart from what was never leased
        self.seq = 0

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Await something from Hypothesis's world, which is not async."""
        return self.loop.run_until_complete(doing)

    def teardown(self) -> None:
        self.run(self.context.__aexit__(None, None, None))
        self.loop.close()

    @initialize(redirected=st.booleans())
    def begin(self, redirected: bool) -> None:
        """One queue whose window never ends, and perhaps another for its dead letters."""
        self.redirected = redirected
        self.declare()

    def declare(self) -> None:
        """Both queues, with the settings that they keep."""
        lease_s = _LEASE_UNITS * self.bench.unit_s
        dead_to = "letters" if self.redirected else None
        dedupe_s = 1e9 if self.bench.broker.capabilities.dedupe else 0.0
        queue = Queue("q", lease_s, _MAX_RECEIVES, fifo=self.fifo, dedupe_s=dedupe_s, dead_to=dead_to)
        letters = Queue("letters", lease_s, None, fifo=self.fifo, dedupe_s=dedupe_s)
        self.run(self.bench.broker.declare([queue, letters]))

    @rule(pairs=st.lists(st.tuples(_IDS, _KEYS), min_size=1, max_size=6))
    def put(self, pairs: list[tuple[str, str]]) -> None:
        """New ids are stored; known ones, and those under a known key, are duplicates."""
        if not self.bench.broker.capabilities.dedupe:
            there = self.waiting.keys() | self.dead | self.letters
            pairs = [(id, "") for id in dict(pairs) if id not in there]
            self.settled -= {id for id, _ in pairs}
        puts = [Put("q", self._message(id), dedupe=key) for id, key in pairs]
        for put, answer in zip(puts, self.run(self.bench.broker.put(puts)), strict=True):
            id, first = put.message.id, self.firsts.get(put.dedupe)
            if first is not None:
                assert answer == first, f"put {id} as {put.dedupe}: expected {first}, got {answer}"
                continue
            known = id in self.waiting or id in self.dead or id in self.settled
            assert (answer.id, answer.duplicate) == (id, known), f"put {id}: expected duplicate={known}, got {answer}"
            if put.dedupe:
                self.firsts[put.dedupe] = Accepted(id, True, answer.sequence)
            if not known:
                self.seq += 1
                self.waiting[id] = Known(self.seq)

    def _message(self, id: str) -> Message:
        return Message(id, id.encode(), group=group_of(id) if self.fifo else "")

    @rule(limit=st.integers(1, 5), units=st.sampled_from([None, None, 0.0, 3.0, 20.0]))
    def take(self, limit: int, units: float | None) -> None:
        """What can be taken is given, up to the limit, with its attempts counted."""
        due = {id for id, known in self.waiting.items() if known.due <= self.now}
        used_up = {id for id in due if self.waiting[id].attempts >= _MAX_RECEIVES}
        lease_s = None if units is None else units * self.bench.unit_s
        leases = self.run(self.bench.broker.take("q", limit, lease_s=lease_s))
        taken = [lease.message.id for lease in leases]
        if self.fifo:
            self._follows_its_groups(taken)
        else:
            assert len(taken) >= min(1, len(due - used_up)), f"expected something of {sorted(due)}, got nothing"
        assert set(taken) <= due - used_up, f"expected only of {sorted(due - used_up)}, got {taken}"
        assert len(set(taken)) == len(taken) <= limit, f"expected at most {limit} different ones, got {taken}"
        fresh = [self.waiting[id].seq for id in taken if self.waiting[id].due == 0]
        assert fresh == sorted(fresh), f"expected oldest first, got {taken}"
        for lease in leases:
            self._lease(lease, _LEASE_UNITS if units is None else units)
        if self.fifo:
            self._revoke(taken)
        self._bury_used_up(used_up)

    def _lease(self, lease: Lease, units: float) -> None:
        known = self.waiting[lease.message.id]
        known.attempts += 1
        known.due = self.now + units
        known.lease = lease
        self.leases.append(lease)
        assert lease.attempt == known.attempts, f"expected attempt {known.attempts}, got {lease}"
        assert lease.message.body == lease.message.id.encode(), f"expected its own body, got {lease}"

    def _revoke(self, taken: list[str]) -> None:
        """Of the groups that were taken from, nobody holds anything but what was taken now."""
        groups = {group_of(id) for id in taken}
        for id, known in self.waiting.items():
            if group_of(id) in groups and id not in taken:
                known.lease = None

    def _bury_used_up(self, used_up: set[str]) -> None:
        """Of those that used up their receives, the ones that the take came upon are dead letters now."""
        left = {peeked.message.id for peeked in self.run(self.bench.broker.peek("q", 100))}
        for id in self.waiting.keys() - left:
            assert id in used_up, f"{id} became a dead letter with {self.waiting[id].attempts} attempts"
            self._bury(id)

    def _bury(self, id: str) -> None:
        """An id that has a letter in the other queue already stays among the dead of its own."""
        del self.waiting[id]
        self.settled.add(id)
        (self.letters if self.redirected and id not in self.letters else self.dead).add(id)

    def _follows_its_groups(self, taken: list[str]) -> None:
        """Nothing is taken of a group past a message that is in flight, delayed, or skipped."""
        for group in _GROUPS:
            line = sorted(
                (each for each in self.waiting if group_of(each) == group), key=lambda each: self.waiting[each].seq
            )
            mine = [id for id in taken if group_of(id) == group]
            if any(self.waiting[id].is_in_flight(self.now) for id in line):
                assert not mine, f"expected nothing of group {group} while one of it is in flight, got {mine}"
            line = [id for id in line if self.waiting[id].attempts < _MAX_RECEIVES]
            assert mine == line[: len(mine)], f"expected group {group} in the order {line}, got {mine}"

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), verdict=_VERDICTS, delay=st.sampled_from([0.0, 3.0]))
    def settle(self, data: st.DataObject, verdict: Verdict, delay: float) -> None:
        """Only the last lease of a message settles it, and only once."""
        lease = data.draw(st.sampled_from(self.leases))
        id = lease.message.id
        known = self.waiting.get(id)
        ours = known is not None and known.lease is not None and known.lease.receipt == lease.receipt
        delay_s = delay * self.bench.unit_s if verdict == "retry" else 0.0
        lost = self.run(self.bench.broker.settle(Commit("q", [outcome(lease, verdict, delay_s=delay_s)])))
        assert bool(lost) == (not ours), f"{verdict} {id}: expected lost={not ours}, got {lost}"
        if known is None or not ours:
            return
        known.lease = None
        if verdict == "done":
            del self.waiting[id]
            self.settled.add(id)
        elif verdict == "dead":
            self._bury(id)
        elif verdict == "retry":
            known.due = self.now + delay if delay else 0.0
        else:
            known.due = 0.0
            known.attempts -= 1

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), units=st.sampled_from([0.0, 1.0, 20.0]))
    def extend(self, data: st.DataObject, units: float) -> None:
        """Only the last lease of a message can be extended."""
        lease = data.draw(st.sampled_from(self.leases))
        known = self.waiting.get(lease.message.id)
        ours = known is not None and known.lease is not None and known.lease.receipt == lease.receipt
        extended = self.run(self.bench.broker.extend([lease], units * self.bench.unit_s))
        assert bool(extended) == ours, f"extend {lease.message.id}: expected {ours}, got {extended}"
        if known is not None and ours:
            known.due = self.now + units

    @rule(units=st.sampled_from([1.0, 4.0, 11.0]))
    def wait(self, units: float) -> None:
        """Time passes."""
        self.now += units
        self.run(self.bench.pass_units(units))

    @rule(id=_IDS, letters=st.booleans())
    def redrive(self, id: str, letters: bool) -> None:
        """A dead letter that is moved back runs again, from its first attempt and in its old place."""
        source, there = ("letters", self.letters) if letters else (dead_letters("q"), self.dead)
        moved = self.run(self.bench.broker.move(source, "q", [id]))
        expected = id in there and id not in self.waiting
        assert moved == expected, f"redrive {id}: expected {expected}, got {moved}"
        if moved:
            there.discard(id)
            self.settled.discard(id)
            self.waiting[id] = Known(self._seq_of(id))

    def _seq_of(self, id: str) -> int:
        """Where a redriven message stands: known from the queue, since a model of it would be the queue again."""
        order = [peeked.message.id for peeked in self.run(self.bench.broker.peek("q", 100))]
        position = order.index(id)
        others = sorted(known.seq for known in self.waiting.values())
        for other in self.waiting.values():  # make room between any two
            other.seq *= 2
        self.seq = 2 * self.seq + 2
        return 2 * others[position - 1] + 1 if position else (2 * others[0] - 1 if others else 1)

    @rule(id=_IDS)
    def purge(self, id: str) -> None:
        """What is not in flight can be purged, and is new again if it was never settled."""
        known = self.waiting.get(id)
        expected = known is not None and not known.is_in_flight(self.now)
        assert self.run(self.bench.broker.purge("q", [id])) == expected, f"purge {id}: expected {expected}"
        if expected:
            del self.waiting[id]

    @rule()
    def read_a_letter(self) -> None:
        """What died into a queue of its own is a message there like any."""
        leases = self.run(self.bench.broker.take("letters", 1))
        assert len(leases) == min(1, len(self.letters)), f"expected one of {sorted(self.letters)}, got {leases}"
        for lease in leases:
            id = lease.message.id
            assert (id in self.letters, lease.attempt) == (True, 1), f"expected a first delivery, got {lease}"
            assert lease.message.body == id.encode(), f"expected its own body, got {lease}"
            assert lease.message.attributes == {DEAD_FROM_ATTRIBUTE: "q"}, f"expected where it died, got {lease}"
            assert self.run(self.bench.broker.settle(Commit("letters", [outcome(lease)]))) == []
            self.letters.discard(id)

    @rule(anyway=st.sampled_from([False] * 4 + [True]))
    def drop(self, anyway: bool) -> None:
        """Dropped and declared again, the queue knows nothing; the letters in the other stay."""
        if not anyway:  # seldom, or nothing would grow old
            return
        self.run(self.bench.broker.drop(["q"]))
        self.declare()
        for forgotten in (self.waiting, self.dead, self.settled, self.firsts):
            forgotten.clear()

    @invariant()
    def counts_agree(self) -> None:
        """The broker counts what the model counts, where it can."""
        if not self.bench.broker.capabilities.exact:
            return
        stats = self.run(self.bench.broker.stats("q"))
        in_flight = sum(known.is_in_flight(self.now) for known in self.waiting.values())
        delayed = sum(known.lease is None and known.due > self.now for known in self.waiting.values())
        depth = len(self.waiting) - in_flight - delayed
        expected = (depth, in_flight, delayed, len(self.dead))
        assert (stats.depth, stats.in_flight, stats.delayed, stats.dead) == expected, (
            f"expected {expected}, got {stats}"
        )


def broker_machine(fresh: FreshBroker, *, fifo: bool = False) -> type[BrokerMachine]:
    """A state machine over brokers opened by `fresh`; its TestCase runs it."""
    return type("Machine", (BrokerMachine,), {"fresh": staticmethod(fresh), "fifo": fifo})
