"""The pipeline over the memory broker, with replicas that answer as told and time moved by hand."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from millrace.broker import Queue, dead_letters
from millrace.brokers.memory import MemoryBroker
from millrace.config.schema import Sink
from millrace.errors import Draining, StorageBusy
from millrace.flow.batcher import Batcher, Policy
from millrace.flow.commit import Committer
from millrace.flow.leases import LeaseKeeper
from millrace.flow.mapping import Mapping
from millrace.flow.outcomes import Decider, Rules
from millrace.flow.pipeline import Pipeline
from millrace.flow.places import MOST_AHEAD
from millrace.flow.replicas import Lost
from millrace.flow.sinks import Sinks
from millrace.flow.timing import Timing
from millrace.stores.memory import MemoryResults
from millrace.telemetry import Step, Telemetry
from millrace.testing import FaultyBroker, ManualClock
from millrace.types import Commit, Failure, Lease, Message, Put
from millrace.wire import Line, Ran, Run, Spec

QUEUE = Queue("q", lease_s=30.0, max_receives=2)
MOST_SOON = 16  # messages taken at once that are through in a moment
Answer = Callable[[Run], "Ran | Lost"]


def ran(run: Run) -> Ran:
    return Ran(run.batch, [message.body for message in run.messages], {}, None, 0.01)


class Replicas:
    """Stands in for a ReplicaSet: answers at once, or when `gate` opens."""

    slots = 2
    version = "v1"

    def __init__(self, answer: Answer = ran) -> None:
        self.answer = answer
        self.spec = Spec("f", "handler", "app.f", "/", 30.0, 0, 1)
        self.runs: list[list[str]] = []
        self.receipts: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def run(
        self,
        run: Run,
        *,
        alone: bool = False,
        impatient: bool = False,
        on_began: object = None,
        unless: asyncio.Future[None] | None = None,
    ) -> Ran | Lost:
        self.runs.append([message.id for message in run.messages])
        self.receipts.update(run.receipts)
        self.entered.set()
        await self.gate.wait()
        return self.answer(run)


class Bench:
    """One pipeline with everything around it."""

    def __init__(self, replicas: Replicas, broker: MemoryBroker, clock: ManualClock, results: MemoryResults, **batch):
        self.replicas, self.broker, self.clock, self.results = replicas, broker, clock, results
        self.steps: list[Step] = []
        self.lines: list[Line] = []
        self.task: asyncio.Task[None]
        timing, queue, mapping = Timing(), batch.pop("queue", QUEUE), batch.pop("mapping", Mapping())
        policy = {"size": 4, "wait_s": 0.0, "max_bytes": 1000, "timeout_s": 30.0} | batch
        self.pipeline = Pipeline(
            "f",
            queue,
            broker=broker,
            replicas=replicas,  # type: ignore[arg-type]
            batcher=Batcher(Policy(**policy), timing),
            timing=timing,
            decider=Decider("f", Rules(max_receives=2), Sinks("f", [Sink(queue="out")], {}), clock, jitter=lambda: 0.0),
            committer=Committer(broker, {}, {}, results, _nobody),
            clock=clock,
            telemetry=Telemetry(self.steps.append),
            on_line=self.lines.append,
            mapping=mapping,
        )

    async def put(self, *ids: str) -> None:
        await self.broker.put([Put("q", Message(id, b'"%s"' % id.encode())) for id in ids])

    async def states(self, *ids: str) -> list[str]:
        """What becomes of messages, once something has."""
        return [record.state if (record := await self.results.wait(id, 60.0)) else "" for id in ids]


async def until_told(bench: Bench, count: int) -> None:
    while len(bench.lines) < count:
        await asyncio.sleep(0)


async def _nobody(post: object) -> None:
    raise AssertionError("no webhook here")


@asynccontextmanager
async def running(replicas: Replicas | None = None, *, before: tuple[str, ...] = (), **batch) -> AsyncIterator[Bench]:
    clock, results = ManualClock(), MemoryResults()
    broker = MemoryBroker(clock, [results])
    await broker.declare([batch.get("queue", QUEUE), Queue("out")])
    bench = Bench(replicas or Replicas(), broker, clock, results, **batch)
    await bench.put(*before)
    bench.task = task = asyncio.create_task(bench.pipeline.run())
    try:
        yield bench
    finally:
        bench.pipeline.drain()
        bench.replicas.gate.set()
        await task
        await broker.close()


async def test_messages_become_results_outputs_and_nothing_else() -> None:
    async with running(before=("a", "b", "c")) as bench:
        assert await bench.states("a", "b", "c") == ["done"] * 3
        outputs = await bench.broker.peek("out")
        assert [peeked.message.id for peeked in outputs] == ["a.f.0", "b.f.0", "c.f.0"]
        stats = await bench.broker.stats("q")
        assert (stats.depth, stats.in_flight, stats.dead) == (0, 0, 0)
    assert bench.replicas.runs == [["a", "b", "c"]]
    assert len(bench.replicas.receipts) == 3, "handlers get a handle each"
    once = [step for step in Step if step is not Step.BEFORE_TAKE and step is not Step.AFTER_TAKE]
    assert set(once) <= set(bench.steps)


async def test_a_full_batch_is_followed_by_the_rest() -> None:
    async with running(before=tuple("abcdef")) as bench:
        await bench.states(*"abcdef")
    assert bench.replicas.runs == [list("abcd"), list("ef")]


async def test_a_message_that_arrives_later_is_taken_on_the_signal() -> None:
    async with running() as bench:
        await bench.put("late")
        assert await bench.states("late") == ["done"]


async def test_company_is_waited_for_but_not_longer_than_wait() -> None:
    async with running(wait_s=5.0) as bench:
        await bench.put("a")
        while not bench.replicas.runs:
            await asyncio.sleep(0)
            bench.clock.advance(1.0)
        assert await bench.states("a") == ["done"]


async def test_the_culprit_of_a_failed_batch_is_retried_and_dies_and_the_others_are_done() -> None:
    def answer(run: Run) -> Ran:
        if any(message.id == "bad" for message in run.messages):
            return Ran(run.batch, [], {}, Failure("ValueError", "no"), 0.0)
        return ran(run)

    async with running(Replicas(answer), before=("a", "bad", "b")) as bench:
        assert await bench.states("a", "b", "bad") == ["done", "done", "dead"]
        (dead,) = await bench.broker.peek(dead_letters("q"))
        assert dead.death is not None
        assert (dead.death.attempts, dead.death.failure.message, dead.death.version) == (2, "no", "v1")
        for id in ("a", "b"):
            record = await bench.results.get(id)
            assert record is not None
            assert record.attempts == 1
        await until_told(bench, 2)
        assert [line.text for line in bench.lines] == [
            "message bad failed and will be tried again (try 1): ValueError: no",
            "message bad died (try 2): ValueError: no",
        ]


async def test_what_failed_before_is_run_apart_from_what_did_not() -> None:
    def answer(run: Run) -> Ran:
        if any(message.id == "bad" for message in run.messages):
            return Ran(run.batch, [], {}, Failure("ValueError", "no"), 0.0)
        return ran(run)

    replicas = Replicas(answer)
    replicas.gate.clear()
    async with running(replicas, before=("bad",), size=8) as bench:
        await replicas.entered.wait()
        settle = bench.broker.settle

        async def settle_and_put_more(commit) -> list[Lease]:
            lost = await settle(commit)
            bench.broker.settle = settle  # type: ignore[method-assign]
            await bench.put("a", "b")
            return lost

        bench.broker.settle = settle_and_put_more  # type: ignore[method-assign]
        replicas.gate.set()
        assert await bench.states("a", "b", "bad") == ["done", "done", "dead"]
    assert all(run == ["bad"] or "bad" not in run for run in replicas.runs)


async def test_leases_are_renewed_while_a_batch_runs() -> None:
    replicas = Replicas()
    replicas.gate.clear()
    async with running(replicas, before=("slow",)) as bench:
        await replicas.entered.wait()
        for _ in range(10):
            bench.clock.advance(QUEUE.lease_s / 3)
            for _ in range(20):
                await asyncio.sleep(0)
        assert await bench.broker.take("q", 1) == [], "still ours after 100 s of a 30 s lease"
        replicas.gate.set()
        assert await bench.states("slow") == ["done"]
    assert replicas.runs == [["slow"]]


@pytest.mark.parametrize("error", [StorageBusy("locked", "wait"), RuntimeError("a bug")])
async def test_a_renewal_that_fails_is_told_and_the_next_one_holds(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    replicas = Replicas()
    replicas.gate.clear()
    async with running(replicas, before=("slow",)) as bench:
        await replicas.entered.wait()
        extend, errors, renewed = bench.broker.extend, [error], asyncio.Event()

        async def failing_once(leases: Sequence[Lease], lease_s: float) -> None:
            if errors:
                raise errors.pop()
            await extend(leases, lease_s)
            renewed.set()

        bench.broker.extend = failing_once  # type: ignore[method-assign, assignment]
        while not renewed.is_set():
            await bench.clock.until_sleeping()
            bench.clock.advance(QUEUE.lease_s / 3)
            await asyncio.sleep(0)
        bench.clock.advance(QUEUE.lease_s * 0.9)
        assert await bench.broker.take("q", 1) == [], "renewed by the second try"
        replicas.gate.set()
        assert await bench.states("slow") == ["done"]
    assert "could not renew 1 leases" in caplog.text


async def test_drain_ends_a_take_that_the_disk_refuses(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as bench:
        refused = asyncio.Event()

        async def refusing(*_: object, **__: object) -> list[Lease]:
            refused.set()
            raise StorageBusy("locked", "wait")

        bench.broker.take = refusing  # type: ignore[method-assign]
        await bench.put("a")
        await refused.wait()
        bench.pipeline.drain()
        while not bench.task.done():
            await asyncio.sleep(0)
            bench.clock.advance(0.1)
    assert (await bench.broker.stats("q")).depth == 1


async def test_what_is_abandoned_comes_back_when_its_lease_has_run_out() -> None:
    replicas = Replicas()
    replicas.gate.clear()
    async with running(replicas, before=("a",)) as bench:
        await replicas.entered.wait()
        bench.pipeline.abandon()
    bench.clock.advance(QUEUE.lease_s)
    (lease,) = await bench.broker.take("q", 1)
    assert (lease.message.id, lease.attempt) == ("a", 2), "it counts: whether it was to blame is not known"


async def test_leases_are_renewed_while_a_batch_is_gathered() -> None:
    async with running(wait_s=1000.0) as bench:
        await bench.put("a")
        while (await bench.broker.stats("q")).in_flight == 0:
            await asyncio.sleep(0)
        for _ in range(6):
            bench.clock.advance(QUEUE.lease_s / 3)
            for _ in range(20):
                await asyncio.sleep(0)
        assert await bench.broker.take("q", 1) == [], "still ours after 60 s of a 30 s lease"
        assert bench.replicas.runs == [], "and not released for its lease's sake"


async def test_what_a_drained_replica_set_turns_away_is_given_back_uncounted() -> None:
    def turn_away(run: Run) -> Ran:
        raise Draining("shutting down")

    replicas = Replicas(turn_away)
    replicas.gate.clear()
    async with running(replicas, before=("a",)) as bench:
        await replicas.entered.wait()
        bench.pipeline.drain()
        replicas.gate.set()
    (lease,) = await bench.broker.take("q", 1)
    assert lease.attempt == 1


async def test_drain_gives_back_what_is_gathered_but_not_begun() -> None:
    async with running(wait_s=100.0) as bench:
        await bench.put("a")
        while (await bench.broker.stats("q")).in_flight == 0:
            await asyncio.sleep(0)
        bench.pipeline.drain()
    assert (await bench.broker.stats("q")).depth == 1
    (lease,) = await bench.broker.take("q", 1)
    assert lease.attempt == 1


async def test_drain_finishes_what_runs() -> None:
    replicas = Replicas()
    replicas.gate.clear()
    async with running(replicas, before=("running",)) as bench:
        await replicas.entered.wait()
        bench.pipeline.drain()
        await bench.put("later")
        for _ in range(20):
            await asyncio.sleep(0)
        assert not bench.task.done(), "it waits for what runs"
        replicas.gate.set()
        await bench.task
        assert await bench.states("running") == ["done"]
    assert replicas.runs == [["running"]], "nothing more is taken"
    assert (await bench.broker.stats("q")).depth == 1


async def test_a_commit_that_the_disk_refuses_is_tried_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as bench:
        settle, refusals = bench.broker.settle, [StorageBusy("locked", "wait"), StorageBusy("locked", "wait")]

        async def refusing(commit) -> list[Lease]:
            if refusals:
                raise refusals.pop()
            return await settle(commit)

        bench.broker.settle = refusing  # type: ignore[method-assign]
        await bench.put("a")
        done = asyncio.create_task(bench.states("a"))
        while not done.done():
            await asyncio.sleep(0)
            bench.clock.advance(0.1)
        assert done.result() == ["done"]
    assert bench.replicas.runs == [["a"]], "the work is not done again"
    assert any("trying again" in record.message for record in caplog.records if record.levelno == logging.ERROR)
    assert any("works again" in record.message for record in caplog.records)


async def test_an_error_of_ours_is_logged_and_the_pipeline_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken(run: Run) -> Ran:
        if run.messages[0].id == "a":
            raise RuntimeError("a bug")
        return ran(run)

    async with running(Replicas(broken), size=1, before=("a", "b")) as bench:
        assert await bench.states("b") == ["done"]
    assert "ended in an error of ours" in caplog.text


async def test_behind_a_culprit_nothing_of_its_group_is_run() -> None:
    broken = {"a2"}

    def answer(run: Run) -> Ran:
        bad = broken.intersection(message.id for message in run.messages)
        return Ran(run.batch, [], {}, Failure("E", "bad"), 0.0) if bad else ran(run)

    replicas, queue = Replicas(answer), Queue("q", max_receives=3, fifo=True)
    clock, results = ManualClock(), MemoryResults()
    broker = MemoryBroker(clock, [results])
    await broker.declare([queue, Queue("out")])
    bench = Bench(replicas, broker, clock, results, queue=queue)
    await broker.put([Put("q", Message(id, b"1", group=id[0])) for id in ("a1", "a2", "a3", "b1")])
    bench.task = asyncio.create_task(bench.pipeline.run())
    assert await bench.states("a1", "b1") == ["done", "done"]
    assert replicas.runs == [["a1", "a2", "a3", "b1"], ["a1", "a2"], ["a1"], ["a2"], ["b1"]]
    broken.clear()
    bench.pipeline.drain()
    await bench.task
    assert [(each.message.id, each.attempts) for each in await broker.peek("q")] == [("a2", 1), ("a3", 0)]


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_fewer_than_were_taken_of_a_group_do_not_run_beside_each_other() -> None:
    """A batch that ends while the next is gathered teaches that messages are slow: then less of a group fits in."""
    replicas = Replicas(lambda run: Ran(run.batch, [message.body for message in run.messages], {}, None, 10.0))
    queue = Queue("q", lease_s=90.0, fifo=True)
    async with running(replicas, queue=queue, size=10, wait_s=5.0) as bench:
        replicas.gate.clear()
        await bench.put("first")
        await bench.clock.until_sleeping(2)
        bench.clock.advance(5.0)
        await replicas.entered.wait()
        in_a = [Put("q", Message(f"a{number}", b"1", group="a")) for number in range(5)]
        await bench.broker.put([*in_a, Put("q", Message("b", b"1", group="b"))])
        await settled()
        replicas.gate.set()
        assert await bench.states("first") == ["done"]
        replicas.gate.clear()
        bench.clock.advance(5.0)
        await settled()
        assert replicas.runs[1:] == [["a0", "a1"], ["b"]], "30 s, 10 s each, and a margin"
        assert [each.attempts for each in await bench.broker.peek("q")] == [1, 1, 0, 0, 0, 1]
        replicas.gate.set()
        await settled()
        bench.clock.advance(5.0)
        await settled()
    assert [id for run in replicas.runs[1:] for id in run if id != "b"] == [f"a{number}" for number in range(5)]


async def filtering() -> tuple[Bench, FaultyBroker, ManualClock]:
    """A pipeline with a filter, which keeps the first of two messages that wait."""
    clock, results = ManualClock(), MemoryResults()
    broker = FaultyBroker(MemoryBroker(clock, [results]))
    await broker.declare([QUEUE, Queue("out")])
    accepts = Mapping(accepts=lambda lease: lease.message.id == "kept")
    bench = Bench(Replicas(), broker, clock, results, mapping=accepts)  # type: ignore[arg-type]
    await bench.put("kept", "filtered")
    return bench, broker, clock


async def test_leases_are_renewed_while_the_filter_deletes_others() -> None:
    bench, broker, clock = await filtering()
    reached, go_on = broker.hold("settle")
    bench.task = asyncio.create_task(bench.pipeline.run())
    await reached.wait()
    for _ in range(4):
        await clock.until_sleeping(1)
        clock.advance(10.0)
        await settled()
    assert [lease.message.id for lease in await broker.inner.take("q", 2)] == ["filtered"], "what is kept is ours still"
    go_on.set()
    assert await bench.states("kept") == ["done"]
    bench.pipeline.drain()
    await bench.task
    await settled()
    assert clock.sleepers == 0, "nobody renews any more"


async def test_what_the_filter_kept_is_handed_on_as_it_was_renewed_meanwhile() -> None:
    bench, broker, clock = await filtering()
    reached, go_on = broker.hold("settle")
    keeping = asyncio.create_task(bench.pipeline._keeper.run())
    sifting = asyncio.create_task(bench.pipeline.sift(await bench.pipeline.take()))
    await reached.wait()
    await clock.until_sleeping(1)
    clock.advance(10.0)
    await settled()
    go_on.set()
    assert [lease.expires_at - clock.monotonic() for lease in await sifting] == [QUEUE.lease_s]
    keeping.cancel()


async def test_a_batch_is_renewed_while_what_follows_it_in_its_group_is_given_back() -> None:
    clock, results, fifo = ManualClock(), MemoryResults(), Queue("q", lease_s=30.0, fifo=True)
    broker = FaultyBroker(MemoryBroker(clock, [results]))
    await broker.declare([fifo, Queue("out")])
    bench = Bench(Replicas(), broker, clock, results, queue=fifo, size=2)  # type: ignore[arg-type]
    await broker.put([Put("q", Message(f"a{number}", b"1", group="a")) for number in range(4)])
    bench.pipeline._batcher.add(await broker.take("q", 4), clock.monotonic())
    reached, go_on = broker.hold("settle")
    keeping = asyncio.create_task(bench.pipeline._keeper.run())
    gathering = asyncio.create_task(bench.pipeline.gather())
    await reached.wait()
    for _ in range(4):
        await clock.until_sleeping(1)
        clock.advance(10.0)
        await settled()
    assert await broker.inner.take("q", 4) == [], "expected the group to be held up by its first"
    go_on.set()
    batch = await gathering
    assert batch is not None
    assert [lease.message.id for lease in batch.leases] == ["a0", "a1"]
    keeping.cancel()


async def test_what_was_renewed_beyond_the_end_of_its_batch_is_not_renewed_again() -> None:
    """A handler that makes its message visible sooner has its way."""
    clock, timing = ManualClock(), Timing()
    broker = MemoryBroker(clock)
    await broker.declare([QUEUE])
    await broker.put([Put("q", Message("m"))])
    keeper = LeaseKeeper(broker, Batcher(Policy(4, 0.0, 1000, 30.0), timing), QUEUE.lease_s, clock)
    keeping = asyncio.create_task(keeper.run())
    with keeper.holding(await broker.take("q", 1)) as hold:
        await clock.until_sleeping(1)
        clock.advance(10.0)
        await settled()
        hold.needed_until = clock.monotonic() + 25.0
        await broker.extend(hold.leases, 5.0)
        clock.advance(10.0)
        await settled()
        assert [lease.message.id for lease in await broker.take("q", 1)] == ["m"]
    keeping.cancel()


async def test_how_long_a_take_took_is_no_longer_waited_for() -> None:
    async with running(size=4, wait_s=5.0) as bench:
        take = bench.broker.take

        async def slow(queue: str, limit: int, **how: Any) -> list[Lease]:
            leases = await take(queue, limit, **how)
            if not leases:
                bench.clock.advance(3.0)
            return leases

        bench.broker.take = slow  # type: ignore[method-assign]
        await bench.put("a")
        await bench.clock.until_sleeping(2)
        bench.clock.advance(2.0)
        assert await bench.states("a") == ["done"]


async def test_small_batches_run_on_while_others_wait_for_their_commit() -> None:
    """The disk answers nobody: 64 messages wait for it, and then each batch keeps its place."""
    ids = [f"{number:03}" for number in range(100)]
    replicas, disk = Replicas(), asyncio.Event()
    async with running(replicas, before=tuple(ids), size=1) as bench:
        settle = bench.broker.settle

        async def slow(commit: Commit) -> list[Lease]:
            await disk.wait()
            return await settle(commit)

        bench.broker.settle = slow  # type: ignore[method-assign]
        while len(replicas.runs) < MOST_AHEAD + replicas.slots + 2:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(replicas.runs) == MOST_AHEAD + replicas.slots + 2
        disk.set()
        assert await bench.states(*ids) == ["done"] * len(ids)


def quick(run: Run) -> Ran:
    return Ran(run.batch, [message.body for message in run.messages], {}, None, 0.0001)


def limits_of_takes(bench: Bench) -> list[int]:
    """How many messages each take asks for, from now on."""
    found: list[int] = []
    take = bench.broker.take

    async def counted(queue: str, limit: int, **how: Any) -> list[Lease]:
        found.append(limit)
        return await take(queue, limit, **how)

    bench.broker.take = counted  # type: ignore[method-assign]
    return found


async def test_what_is_through_in_a_moment_is_taken_at_once_and_run_in_batches_of_its_size() -> None:
    ids = [f"{number:03}" for number in range(40)]
    replicas = Replicas(quick)
    async with running(replicas, size=1) as bench:
        limits = limits_of_takes(bench)
        await bench.put("first")
        assert await bench.states("first") == ["done"]
        await bench.put(*ids)
        assert await bench.states(*ids) == ["done"] * len(ids)
    assert (limits[0], max(limits)) == (1, MOST_SOON), "nothing is known before the first"
    assert replicas.runs == [[id] for id in ("first", *ids)]


async def test_what_was_taken_ahead_is_given_back_uncounted() -> None:
    replicas = Replicas(quick)
    async with running(replicas, size=1) as bench:
        await bench.put("first")
        assert await bench.states("first") == ["done"]
        replicas.gate.clear()
        await bench.put(*(f"{number:03}" for number in range(40)))
        while len(replicas.runs) < 1 + replicas.slots + 2:
            await asyncio.sleep(0)
        assert (await bench.broker.stats("q")).in_flight > replicas.slots + 2
        bench.pipeline.drain()
        while (await bench.broker.stats("q")).in_flight > replicas.slots + 2:
            await asyncio.sleep(0)
        replicas.gate.set()
        await bench.task
    left = await bench.broker.take("q", 100)
    assert [lease.attempt for lease in left] == [1] * 36
    assert len(replicas.runs) == 5


@pytest.mark.parametrize(
    "how",
    [
        {"queue": Queue("q", max_receives=2, fifo=True)},
        {"queue": Queue("q", max_receives=1)},
        {"mapping": Mapping(concurrency=2)},
    ],
    ids=["groups follow each other", "one delivery", "a concurrency of its own"],
)
async def test_some_are_taken_batch_by_batch(how: dict[str, Any]) -> None:
    ids = [f"{number:03}" for number in range(20)]
    async with running(Replicas(quick), before=tuple(ids), size=1, **how) as bench:
        limits = limits_of_takes(bench)
        assert await bench.states(*ids) == ["done"] * len(ids)
    assert set(limits) == {1}
