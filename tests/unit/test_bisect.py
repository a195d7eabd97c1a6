"""Blame: whoever breaks a batch is found, and only they."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from millrace.flow.bisect import results
from millrace.flow.replicas import Lost
from millrace.types import Failure, Lease, Message
from millrace.wire import Ran

BROKEN = Failure("ValueError", "one of these")
REFUSED = Failure("OSError", "preprocess")
DIED = Failure("ReplicaDied", "SIGSEGV")


def leases(count: int) -> list[Lease]:
    return [Lease("q", Message(str(i)), i, 1, 0.0) for i in range(count)]


class Replica:
    """Fails as told: `poison` breaks predict, `killers` take the process along, `spoilt` are refused one by one."""

    def __init__(self, poison: set[str] = frozenset(), killers: set[str] = frozenset(), spoilt: set[str] = frozenset()):
        self.poison, self.killers, self.spoilt = poison, killers, spoilt
        self.calls: list[tuple[list[str], bool]] = []
        self.first_death_had_company = True

    async def __call__(self, batch: Sequence[Lease], *, alone: bool) -> Ran | Lost:
        ids = [lease.message.id for lease in batch]
        self.calls.append((ids, alone))
        if self.killers & set(ids):
            return Lost(DIED, alone=alone)
        failures = {i: REFUSED for i, id in enumerate(ids) if id in self.spoilt}
        if self.poison & set(ids) - self.spoilt:
            return Ran(0, [], failures, BROKEN, 0.0)
        return Ran(0, [None if i in failures else b"1" for i in range(len(ids))], failures, None, 0.0)


def run(count: int, replica: Replica, *, bisect: bool = True) -> dict[str, bytes | Failure]:
    async def collect() -> list[tuple[str, bytes | Failure]]:
        return [
            (lease.message.id, answer)
            async for part, answers in results(leases(count), replica, bisect=bisect)
            for lease, answer in zip(part, answers, strict=True)
        ]

    pairs = asyncio.run(collect())
    assert len(pairs) == count, "every lease has exactly one result"
    return dict(pairs)


def test_a_healthy_batch_runs_once() -> None:
    replica = Replica()
    assert set(run(4, replica).values()) == {b"1"}
    assert len(replica.calls) == 1


def test_items_that_preprocess_refuses_fail_alone_without_another_run() -> None:
    replica = Replica(spoilt={"1"})
    assert run(3, replica) == {"0": b"1", "1": REFUSED, "2": b"1"}
    assert len(replica.calls) == 1


def test_the_culprit_is_found_in_about_log_n_runs() -> None:
    replica = Replica(poison={"5"})
    answers = run(32, replica)
    assert answers.pop("5") == BROKEN
    assert set(answers.values()) == {b"1"}
    assert len(replica.calls) <= 1 + 2 * 5
    assert all(alone for _, alone in replica.calls[1:])


def test_a_death_in_company_is_tried_alone_before_anybody_is_blamed() -> None:
    replica = Replica(killers={"2"})
    assert run(4, replica)["2"] == DIED
    assert replica.calls[0] == (["0", "1", "2", "3"], False)
    assert replica.calls[1] == (["0", "1", "2", "3"], True)


def test_refused_items_are_not_run_again_while_bisecting() -> None:
    replica = Replica(poison={"0"}, spoilt={"3"})
    assert run(4, replica) == {"0": BROKEN, "1": b"1", "2": b"1", "3": REFUSED}
    assert all("3" not in ids for ids, _ in replica.calls[1:])


def test_without_bisection_all_of_a_batch_are_to_blame_and_it_runs_once() -> None:
    replica = Replica(poison={"0"}, spoilt={"3"})
    assert run(4, replica, bisect=False) == {"0": BROKEN, "1": BROKEN, "2": BROKEN, "3": REFUSED}
    assert len(replica.calls) == 1
    dying = Replica(killers={"2"})
    assert set(run(4, dying, bisect=False).values()) == {DIED}
    assert [alone for _, alone in dying.calls] == [False, True], "not blamed for another batch's death"


@given(st.integers(1, 40), st.data())
def test_exactly_the_guilty_are_blamed(count: int, data: st.DataObject) -> None:
    some = st.sets(st.integers(0, count - 1).map(str), max_size=5)
    poison, killers, spoilt = data.draw(some), data.draw(some), data.draw(some)
    answers = run(count, Replica(poison, killers, spoilt))
    for id, answer in answers.items():
        if id in killers:
            assert answer in (DIED, BROKEN)
        elif id in spoilt:
            assert answer == REFUSED
        else:
            assert answer == (BROKEN if id in poison else b"1")
