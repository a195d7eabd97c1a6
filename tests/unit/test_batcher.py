"""The batcher: full, bytes, wait, lease; nothing lost, nothing out of order, nothing larger than allowed."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from millrace.flow.batcher import Batcher, Policy
from millrace.flow.timing import Timing
from millrace.types import Lease, Message


def lease(id: str = "a", size: int = 1, expires_at: float = 1000.0, deadline: float = math.inf) -> Lease:
    return Lease("q", Message(id, b"x" * size), id, 1, expires_at, deadline=deadline)


def batcher(timing: Timing | None = None, **policy: float) -> Batcher:
    settings = {"size": 4, "wait_s": 1.0, "max_bytes": 100, "timeout_s": 30.0} | policy
    return Batcher(Policy(**settings), timing or Timing())  # type: ignore[arg-type]


def test_empty_is_never_due() -> None:
    empty = batcher()
    assert empty.due(0.0) is None
    assert empty.until_next(0.0) is None
    assert empty.room == 4
    assert empty.room_bytes == 100


def test_full_by_count() -> None:
    held = batcher()
    held.add([lease(str(i)) for i in range(5)], 0.0)
    assert held.room == 0
    assert held.due(0.0) == "full"
    assert held.until_next(0.0) == 0.0
    assert [lease.message.id for lease in held.release(0.0)] == ["0", "1", "2", "3"]
    assert len(held) == 1
    assert held.due(0.0) is None


def test_full_by_bytes() -> None:
    held = batcher()
    held.add([lease("a", 60), lease("b", 60)], 0.0)
    assert held.room_bytes == 0
    assert held.due(0.0) == "bytes"
    assert [lease.message.id for lease in held.release(0.0)] == ["a"]


def test_a_message_larger_than_the_bound_goes_alone() -> None:
    held = batcher()
    held.add([lease("huge", 1000), lease("b")], 0.0)
    assert [lease.message.id for lease in held.release(0.0)] == ["huge"]


def test_waits_for_company_but_not_longer_than_wait() -> None:
    held = batcher()
    held.add([lease("a")], 10.0)
    assert held.due(10.5) is None
    assert held.until_next(10.25) == pytest.approx(0.75)
    held.add([lease("b")], 10.9)
    assert held.due(11.0) == "wait"
    assert len(held.release(11.0)) == 2


def test_time_spent_in_the_queue_counts_as_waiting() -> None:
    held = batcher()
    held.add([lease("a")], 10.0, waited_s=5.0)
    assert held.due(10.0) == "wait"


@pytest.mark.parametrize("end", [{"expires_at": 5.0}, {"deadline": 5.0}])
def test_goes_before_a_lease_or_a_deadline_is_missed(end: dict[str, float]) -> None:
    timing = Timing()
    timing.learn(1, 2.0)
    held = batcher(timing, wait_s=100.0)
    held.add([lease("a", **end)], 0.0)
    assert held.due(2.4) is None
    assert held.until_next(2.4) == pytest.approx(0.1)
    assert held.due(2.5) == "lease"


def test_never_builds_a_batch_that_would_outlive_its_leases() -> None:
    timing = Timing()
    timing.learn(1, 1.0)
    held = batcher(timing, timeout_s=1000.0)
    held.add([lease(str(i), expires_at=2.6) for i in range(4)], 0.0)
    assert len(held.release(0.0)) == 2


def test_never_builds_a_batch_that_would_be_killed_for_its_time() -> None:
    timing = Timing()
    timing.learn(1, 1.0)
    held = batcher(timing, timeout_s=2.5)
    assert held.room == 2
    held.add([lease("a"), lease("b")], 0.0)
    assert held.due(0.0) == "full"


def test_renewed_leases_take_the_place_of_the_old_and_lost_ones_are_let_go() -> None:
    held = batcher(wait_s=100.0)
    held.add([lease("a", 10, expires_at=5.0), lease("b", 20, expires_at=5.0)], 0.0)
    asked = held.leases
    held.add([lease("c", 30)], 0.0)  # taken while the renewal was under way
    held.renew(asked, [lease("b", 20, expires_at=50.0)])
    assert [(each.message.id, each.expires_at) for each in held.leases] == [("b", 50.0), ("c", 1000.0)]
    assert held.room_bytes == 50
    assert held.due(6.0) is None, "the old lease's end no longer presses"


def test_drain_gives_everything_back() -> None:
    held = batcher()
    held.add([lease("a", 30), lease("b")], 0.0)
    assert [lease.message.id for lease in held.drain()] == ["a", "b"]
    assert len(held) == 0
    assert held.room_bytes == 100


class BatcherMachine(RuleBasedStateMachine):
    """Adds, time and releases in any order, against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.timing = Timing()
        self.batcher = Batcher(Policy(size=5, wait_s=2.0, max_bytes=50, timeout_s=60.0), self.timing)
        self.model: list[tuple[Lease, float]] = []
        self.now = 0.0
        self.count = 0

    @rule(sizes=st.lists(st.integers(0, 70), min_size=1, max_size=8), lease_s=st.floats(1, 60))
    def add(self, sizes: list[int], lease_s: float) -> None:
        leases = []
        for size in sizes:
            self.count += 1
            leases.append(lease(str(self.count), size, self.now + lease_s))
        self.batcher.add(leases, self.now)
        self.model += [(lease, self.now) for lease in leases]

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(n=st.integers(1, 10), seconds=st.floats(0, 5))
    def learn(self, n: int, seconds: float) -> None:
        self.timing.learn(n, seconds)

    @precondition(lambda self: self.batcher.due(self.now))
    @rule()
    def release(self) -> None:
        released = self.batcher.release(self.now)
        assert released == [lease for lease, _ in self.model[: len(released)]]
        assert 1 <= len(released) <= 5
        assert len(released) == 1 or sum(len(lease.message.body) for lease in released) <= 50
        del self.model[: len(released)]

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert len(self.batcher) == len(self.model)

    @invariant()
    def nobody_waits_longer_than_wait(self) -> None:
        if self.model and self.now >= self.model[0][1] + 2.0:
            assert self.batcher.due(self.now)

    @invariant()
    def says_truly_when_to_ask_again(self) -> None:
        until = self.batcher.until_next(self.now)
        assert (until is None) == (not self.model)
        if until is not None:
            assert (until == 0.0) == bool(self.batcher.due(self.now)) or until < 1e-9
            assert self.batcher.due(self.now + until + 1e-6)


TestBatcherMachine = BatcherMachine.TestCase
TestBatcherMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.integers(1, 100), st.integers(1, 50))
def test_every_lease_leaves_exactly_once(count: int, size: int) -> None:
    held = batcher(size=size, wait_s=0.0)
    held.add([lease(str(i)) for i in range(count)], 0.0)
    seen = []
    while held.due(0.0):
        seen += [lease.message.id for lease in held.release(0.0)]
    assert seen == [str(i) for i in range(count)]
