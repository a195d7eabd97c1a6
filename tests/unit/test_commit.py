"""The committer: objects and webhooks first, the rest in one settle, or in the order that loses nothing."""

import math

import msgspec
import pytest

from millrace.broker import Capabilities, Queue
from millrace.brokers.memory import MemoryBroker
from millrace.errors import StorageError, StorageFull
from millrace.flow.commit import Committer, Lines
from millrace.stores.memory import MemoryResults
from millrace.testing import FaultyBroker, ManualClock
from millrace.types import Commit, Failure, Lease, Message, Object, Outcome, Post, Put, Record, Row

LEASE = Lease("q", Message("m"), 1, 1, 0.0)
ROW, OBJECT = Row("t", "m", b"{}"), Object("b", "k", b"1")
PUT, RECORD = Put("out", Message("m.f.0")), Record("m", "q", "done")
DONE = Outcome(LEASE, "done", RECORD, (ROW,), (OBJECT,), (Post("http://127.0.0.1/", "m.f.1", b"1"),), (PUT,))


class Spy:
    """Every port at once; notes what was called in which order."""

    def __init__(self, *, transactional: bool, broken: str = "") -> None:
        self.calls: list[tuple[str, object]] = []
        self.broken = broken
        self.capabilities = Capabilities(True, transactional, True, True, True, True, True)

    def note(self, verb: str, what: object) -> None:
        if self.broken in (verb, what):
            raise StorageFull("no space left")
        self.calls.append((verb, what))

    def committer(self) -> Committer:
        return Committer(
            self, {"t": Named(self, "table")}, {"b": Named(self, "bucket")}, Named(self, "results"), self.post
        )  # type: ignore[arg-type]

    async def post(self, post: Post) -> None:
        self.note("post", post.id)

    async def put(self, puts: list[Put]) -> None:
        self.note("broker", puts)

    async def settle(self, commit: Commit) -> list[Lease]:
        self.note("settle", commit)
        return []


class Named:
    joins = True

    def __init__(self, spy: Spy, name: str) -> None:
        self.spy, self.name = spy, name

    async def put(self, *what: object) -> None:
        self.spy.note(self.name, what[0])


def refuse(outcome: Outcome, failure: Failure) -> Outcome:
    return Outcome(outcome.lease, "retry")


async def test_a_transactional_broker_gets_all_but_objects_and_posts_in_one_settle() -> None:
    spy = Spy(transactional=True)
    await spy.committer().commit(Commit("q", [DONE]), refuse)
    rest = msgspec.structs.replace(DONE, objects=(), posts=())
    assert spy.calls == [("bucket", "k"), ("post", "m.f.1"), ("settle", Commit("q", [rest]))]


async def test_elsewhere_keyed_writes_come_first_then_puts_then_records_then_acks() -> None:
    spy = Spy(transactional=False)
    await spy.committer().commit(Commit("q", [DONE]), refuse)
    assert [verb for verb, _ in spy.calls] == ["bucket", "post", "table", "broker", "results", "settle"]
    assert dict(spy.calls)["table"] == [ROW]
    assert dict(spy.calls)["broker"] == [PUT]
    assert dict(spy.calls)["results"] == [RECORD]


async def test_without_effects_only_settle_is_called() -> None:
    spy = Spy(transactional=False)
    await spy.committer().commit(Commit("q", [Outcome(LEASE, "release")]), refuse)
    assert [verb for verb, _ in spy.calls] == ["settle"]


@pytest.mark.parametrize("broken", ["bucket", "post"])
async def test_an_outcome_that_could_not_be_written_becomes_what_refused_says(broken: str) -> None:
    spy = Spy(transactional=True, broken=broken)
    other = Outcome(Lease("q", Message("n"), 2, 1, 0.0), "done", rows=(ROW,))
    await spy.committer().commit(Commit("q", [DONE, other]), refuse)
    assert spy.calls[-1] == ("settle", Commit("q", [Outcome(LEASE, "retry"), other]))


@pytest.mark.parametrize("broken", ["table", "broker", "results", "settle"])
async def test_nothing_is_acked_when_a_write_before_it_fails(broken: str) -> None:
    spy = Spy(transactional=False, broken=broken)
    with pytest.raises(StorageFull):
        await spy.committer().commit(Commit("q", [DONE]), refuse)
    assert "settle" not in dict(spy.calls)


def in_group(id: str, group: str, **effects: object) -> Outcome:
    return Outcome(Lease("q", Message(id, group=group), id, 1, 0.0), "done", **effects)  # type: ignore[arg-type]


def group_of(lease: Lease) -> str | None:
    return lease.message.group or None


def sent(id: str) -> dict[str, tuple[Post, ...]]:
    return {"posts": (Post("http://127.0.0.1/", id, b"1"),)}


async def test_what_follows_a_refused_one_of_its_group_is_given_back_unwritten() -> None:
    spy, lines = Spy(transactional=True, broken="a1"), Lines(group_of)
    outcomes = [in_group(id, id[0], **sent(id)) for id in ("a1", "a2", "b1", "b2")]
    await spy.committer().commit(Commit("q", [*outcomes, in_group("a3", "a")]), refuse, lines)
    (_, settled), told = spy.calls[-1], [what for verb, what in spy.calls if verb == "post"]
    assert told == ["b1", "b2"]
    assert [each.verdict for each in settled.outcomes] == ["retry", "release", "done", "done", "release"]  # type: ignore[attr-defined]
    assert lines.held == {"a"}, "what of the group comes in a later part of the batch waits too"


async def test_a_dead_one_holds_up_nobody() -> None:
    spy, lines = Spy(transactional=True, broken="a1"), Lines(group_of)
    outcomes = [in_group(id, "a", **sent(id)) for id in ("a1", "a2")]
    await spy.committer().commit(Commit("q", outcomes), lambda one, _: Outcome(one.lease, "dead"), lines)
    assert [each.verdict for each in spy.calls[-1][1].outcomes] == ["dead", "done"]  # type: ignore[attr-defined]
    assert not lines.held


async def test_a_commit_that_is_called_again_is_the_same() -> None:
    spy, lines = Spy(transactional=True, broken="settle"), Lines(group_of)
    commit = Commit("q", [in_group("a1", "a", **sent("a1"))])
    with pytest.raises(StorageFull):
        await spy.committer().commit(commit, refuse, lines)
    spy.broken = "a1"
    assert await spy.committer().commit(commit, refuse, lines) == []
    assert [each.verdict for each in spy.calls[-1][1].outcomes] == ["retry"]  # type: ignore[attr-defined]


async def test_a_commit_that_failed_holds_up_nobody_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    spy, lines = Spy(transactional=True, broken="a1"), Lines(group_of)

    async def away(commit: Commit) -> list[Lease]:
        raise StorageFull("no space left")

    monkeypatch.setattr(spy, "settle", away)
    with pytest.raises(StorageFull):
        await spy.committer().commit(Commit("q", [in_group("a1", "a", **sent("a1"))]), refuse, lines)
    assert not lines.held


async def test_what_is_left_to_its_lease_is_not_settled_though_it_was_refused_only_now() -> None:
    spy = Spy(transactional=True, broken="bucket")
    other = Outcome(Lease("q", Message("n"), 2, 1, 0.0), "done")
    left = lambda one, _: Outcome(one.lease, "retry", delay_s=math.inf)  # noqa: E731
    await spy.committer().commit(Commit("q", [DONE, other]), left)
    assert spy.calls == [("settle", Commit("q", [other]))]
    await spy.committer().commit(Commit("q", [DONE]), left)
    assert len(spy.calls) == 1, "nothing is left to be said"


async def test_what_a_commit_did_whose_answer_was_lost_holds_its_group() -> None:
    """Its first try gave the message back, its second finds it lost: the next of the group must not overtake it."""
    clock, lines = ManualClock(), Lines(group_of)
    broker = FaultyBroker(MemoryBroker(clock))
    refusals = [StorageFull("no space left")]

    async def post(post: Post) -> None:
        if refusals:
            raise refusals.pop()

    await broker.declare([Queue("q", fifo=True)])
    await broker.put([Put("q", Message(id, group="a")) for id in ("a1", "a2")])
    first, second = await broker.take("q", 2)
    committer = Committer(broker, {}, {}, MemoryResults(clock), post)
    commit = Commit("q", [Outcome(first, "done", posts=(Post("http://127.0.0.1/", "a1", b"1"),))])
    broker.fail("settle", "after")
    with pytest.raises(StorageError):
        await committer.commit(commit, refuse, lines)
    assert await committer.commit(commit, refuse, lines) == [first]
    assert [each.message.id for each in await broker.peek("q")] == ["a1", "a2"], "it is to be tried again"
    assert lines.holds(second)
