"""A pipeline and a dispatcher over real replica sets, with everything around them failing as Hypothesis likes.

Leases run out too: what lapsed may be delivered again while its old batch still runs, and that batch changes nothing.

Nothing is lost or done twice, groups keep their order, every place is given back, and nobody is left waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import IO, Any, Literal, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from millrace.broker import Peeked, Queue, dead_letters
from millrace.brokers.memory import MemoryBroker
from millrace.config.schema import Sink
from millrace.errors import BrokerError, Draining, StorageError
from millrace.flow.batcher import Batcher, Policy
from millrace.flow.commit import Committer
from millrace.flow.dispatcher import Call, Dispatcher
from millrace.flow.outcomes import Decider, Rules
from millrace.flow.pipeline import Pipeline
from millrace.flow.replicas import ReplicaSet
from millrace.flow.sinks import Sinks
from millrace.flow.timing import Timing
from millrace.flow.worker import Worker
from millrace.stores.memory import MemoryResults
from millrace.telemetry import Telemetry
from millrace.testing import FaultyBroker, ManualClock
from millrace.types import Failure, Message, Post, Put
from millrace.wire import Began, Frames, Ran, Ready, Run, Spec, encode

T = TypeVar("T")
LEASE_S, DRAIN_S = 60.0, 20.0
BAD = Failure("ValueError", "bad")
Kind = Literal["model", "handler"]


class Child:
    """A replica's process as the test plays it."""

    outputs: Mapping[str, IO[bytes]] = {}
    pid = 0

    def __init__(self, ended: Callable[[int], None]) -> None:
        self.connection, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._ended = ended
        self._frames = Frames()
        self._loop = asyncio.get_running_loop()
        self.inside: deque[Run] = deque()
        self.over = False

    def hear(self) -> list[Run]:
        """The runs that have arrived."""
        if self.over:
            return []
        with contextlib.suppress(BlockingIOError):
            frames = list(self._frames.feed(self._theirs.recv(1 << 20)))
            if any(isinstance(frame, Spec) for frame in frames):
                self.say(Ready("v1"))
            runs = [frame for frame in frames if isinstance(frame, Run)]
            self.inside.extend(runs)
            return runs
        return []

    def say(self, *frames: Ready | Began | Ran) -> None:
        with contextlib.suppress(OSError):
            self._theirs.sendall(b"".join(map(encode, frames)))

    def kill(self) -> None:
        if not self.over:
            self.over = True
            self.inside.clear()
            self._theirs.close()
            self._loop.call_soon(self._ended, -9)


class FlowMachine(RuleBasedStateMachine):
    """One queue, one function of two replicas, and calls that go straight to them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.results = MemoryResults(self.clock)
        self.broker = FaultyBroker(MemoryBroker(self.clock, [self.results]))
        self.children: list[Child] = []
        self.number = 0
        self.posts: list[str] = []
        self.posts_fail = 0
        self.sent: list[str] = []
        self.calls: list[Call] = []

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(doing, 20.0))

    @initialize(
        kind=st.sampled_from(["model", "handler"]),
        size=st.sampled_from([1, 3, 8]),
        fifo=st.booleans(),
        wait=st.booleans(),
        timeout_s=st.sampled_from([LEASE_S / 2, 5 * LEASE_S]),
    )
    def begin(self, kind: Kind, size: int, fifo: bool, wait: bool, timeout_s: float) -> None:
        """A project, and the first process that runs it."""
        self.kind: Kind = kind
        self.policy = Policy(size, 1.0 if wait else 0.0, 40, timeout_s)
        self.queue = Queue("q", LEASE_S, max_receives=4, fifo=fifo)
        self.run(self.broker.declare([self.queue, Queue("out")]))
        self.start()

    def start(self) -> None:
        self.run(self._start())
        self.let_run()

    async def _start(self) -> None:
        spec = Spec("f", self.kind, "app.f", "/", self.policy.timeout_s, 0, 1)
        self.replicas = ReplicaSet(
            spec,
            count=2,
            environment={},
            clock=self.clock,
            load_timeout_s=60.0,
            on_line=lambda _: None,
            spawn=self._spawn,
        )
        timing, telemetry = Timing(), Telemetry()
        sinks = Sinks("f", [Sink(queue="out"), Sink(webhook="http://127.0.0.1/")], {})
        self.pipeline = Pipeline(
            "f",
            self.queue,
            broker=self.broker,
            replicas=self.replicas,
            batcher=Batcher(self.policy, timing),
            timing=timing,
            decider=Decider("f", Rules(max_receives=4, fifo=self.queue.fifo), sinks, self.clock),
            committer=Committer(self.broker, {}, {}, self.results, self._post),
            clock=self.clock,
            telemetry=telemetry,
            on_line=lambda _: None,
        )
        rules = Rules(max_receives=1, call=True)
        self.dispatcher = Dispatcher(
            "f",
            "calls",
            replicas=self.replicas,
            decider=Decider("f", rules, Sinks("f", [], {}), self.clock),
            mapping=self.pipeline._mapping,
            clock=self.clock,
            telemetry=telemetry,
            on_line=lambda _: None,
        )
        self.worker = Worker(
            {"f": self.replicas}, [self.pipeline], dispatchers={"f": self.dispatcher}, clock=self.clock
        )
        self.places = self.pipeline._places._free, self.pipeline._places._room
        await self.worker.start()

    def _spawn(self, root: str, environment: Mapping[str, str], ended: Callable[[int], None]) -> Child:
        self.children.append(Child(ended))
        return self.children[-1]

    async def _post(self, post: Post) -> None:
        await asyncio.sleep(0)
        if self.posts_fail:
            self.posts_fail -= 1
            raise StorageError("the webhook is away")
        self.posts.append(post.id)

    # ---- what happens

    def let_run(self) -> None:
        """Everything runs that can at this moment."""
        self.run(self._let_run())

    async def _let_run(self) -> None:
        for _ in range(12):
            for _ in range(12):
                await asyncio.sleep(0)
            for child in list(self.children):
                for run in child.hear():
                    await self._begins(run)
            self.children = [child for child in self.children if not child.over]

    async def _begins(self, run: Run) -> None:
        """What a group of a FIFO queue has before this must be over, or in this very batch.

        What runs elsewhere counts for as long as its lease does.
        """
        if not self.queue.fifo or run.queue != "q":
            return
        now = {each.message.id: each for each in await self.broker.inner.peek("q", 1000)}
        mine = _held(run, now)
        others = {
            id for child in self.children for other in child.inside if other is not run for id in _held(other, now)
        }
        for group in {message.group for message in run.messages}:
            line = [id for id, each in now.items() if each.message.group == group]
            ours = [id for id in mine if id in line]
            assert ours == line[: len(ours)], f"group {group!r} stands as {line}, and {ours} run"
            assert not ours or not others.intersection(line), f"two batches of group {group!r} at once"

    @rule(groups=st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=5))
    def put(self, groups: list[str]) -> None:
        """Messages come."""
        puts = []
        for group in groups:
            self.number += 1
            self.sent.append(f"m{self.number:03}")
            puts.append(Put("q", Message(self.sent[-1], b'"0123456"', group=group, sent_at=self.clock.now())))
        self.run(self.broker.inner.put(puts))
        self.let_run()

    @rule()
    def call(self) -> None:
        """Somebody calls and waits."""
        self.number += 1
        message = Message(f"c{self.number:03}", b"{}", sent_at=self.clock.now())

        async def begin() -> Call:
            return self.dispatcher.call(message)

        self.calls.append(self.run(begin()))
        self.let_run()

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def go_away(self, data: st.DataObject) -> None:
        """A caller waits no longer."""
        call = data.draw(st.sampled_from(self.calls))
        self.calls.remove(call)

        async def leave() -> None:
            call.withdraw()

        self.run(leave())
        self.let_run()

    @precondition(lambda self: any(child.inside for child in self.children))
    @rule(data=st.data(), how=st.sampled_from(["good"] * 3 + ["slow", "item", "item", "whole", "refused", "dies"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        """A replica is done with a batch, or with itself."""
        self._answer(data.draw(st.sampled_from([child for child in self.children if child.inside])), how)
        self.let_run()

    def _answer(self, child: Child, how: str) -> None:
        if how == "dies":
            child_kill = child.kill
            self.run(_called(child_kill))
            return
        run = child.inside.popleft()
        values: list[bytes | None] = [b'"%s"' % message.id.encode() for message in run.messages]
        failures = {0: BAD} if how in ("item", "refused") else {}
        whole = BAD if how == "whole" or (how == "refused" and len(values) > 1) else None
        shown = [None if place in failures else value for place, value in enumerate(values)]
        frames = [Began(run.batch)] if self.kind == "model" else []
        child.say(*frames, Ran(run.batch, [] if whole else shown, failures, whole, 10.0 if how == "slow" else 0.005))

    @rule(
        verb=st.sampled_from(["take", "settle", "extend"]),
        when=st.sampled_from(["before", "after"]),
        error=st.sampled_from([StorageError, BrokerError]),
        times=st.integers(1, 3),
    )
    def fail(self, verb: str, when: Literal["before", "after"], error: type[Exception], times: int) -> None:
        """The broker's next calls fail; after three renewals that do, leases have run out."""
        if not self.broker._faults.get(verb):
            self.broker.fail(verb, when, error("away"), times=times)

    @rule()
    def fail_posts(self) -> None:
        """The next result cannot be posted."""
        self.posts_fail = 1

    @rule(seconds=st.sampled_from([0.5, 5.0, LEASE_S / 4]))
    def pass_time(self, seconds: float) -> None:
        """Time passes, for leases, pauses and limits."""
        self.clock.advance(seconds)
        self.let_run()

    @rule(patient=st.booleans())
    def restart(self, patient: bool) -> None:
        """The process drains, or is shot, and another one starts."""
        self._stop(patient)
        self._nobody_waits()
        self.start()

    def _stop(self, patient: bool) -> None:
        if not patient:
            self.run(self.worker.kill())
            return
        draining = self.loop.create_task(self.worker.drain(DRAIN_S))
        self.let_run()
        for child in list(self.children):
            while child.inside:
                self._answer(child, "good")
                self.let_run()
        for _ in range(30):
            if draining.done():
                break
            self.clock.advance(1.0)
            self.let_run()
            for child in list(self.children):  # idle ones were told to stop
                if not child.inside:
                    self.run(_called(child.kill))
            self.let_run()
        assert draining.done(), "a drain ends within its limit"

    def _nobody_waits(self) -> None:
        for call in self.calls:
            assert call.answer.done(), f"{call.lease.message.id} was never answered"
            if (error := call.answer.exception()) is not None:
                assert isinstance(error, Draining), f"{error!r}"
        self.calls.clear()

    # ---- what holds

    @invariant()
    def nothing_is_broken(self) -> None:
        """No pipeline ended by itself, and nothing is there more than once."""
        if not hasattr(self, "worker"):
            return
        assert not self.worker.broken.is_set()
        assert self.pipeline._places._free <= self.places[0]
        assert self.pipeline._places._room <= self.places[1]

    @invariant()
    def nothing_overtakes(self) -> None:
        """In a FIFO queue what is done of a group came before all that is left of it."""
        if not self.sent or not self.queue.fifo:
            return
        left: dict[str, str] = {}
        for each in self.run(self.broker.inner.peek("q", 1000)):
            left.setdefault(each.message.group, each.message.id)
        for each in self.run(self.broker.inner.peek("out", 1000)):
            first = left.get(each.message.group)
            assert first is None or each.message.id < first, f"{each.message.id} overtook {first}"

    def teardown(self) -> None:
        if hasattr(self, "worker"):
            self._heal()
            for _ in range(10):  # more than may be inside and ahead at once
                self.call()
            self._heal()
            self._everything_is_over()
            self._stop(patient=True)
        self.run(self.broker.close())
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def _heal(self) -> None:
        """Nothing fails any more, and time passes."""
        self.broker._faults.clear()
        self.posts_fail = 0
        for _ in range(200):
            self.let_run()
            for child in list(self.children):
                while child.inside:
                    self._answer(child, "good")
            self.let_run()
            if self._is_idle():
                return
            self.clock.advance(10.0)

    def _is_idle(self) -> bool:
        stats = self.run(self.broker.inner.stats("q"))
        return not stats.depth + stats.in_flight + stats.delayed and all(call.answer.done() for call in self.calls)

    def _everything_is_over(self) -> None:
        letters = [each.message.id for each in self.run(self.broker.inner.peek(dead_letters("q"), 1000))]
        outputs = [each.message.id for each in self.run(self.broker.inner.peek("out", 1000))]
        left = [each.message.id for each in self.run(self.broker.inner.peek("q", 1000))]
        assert left == [], f"{left} never came to an end"
        assert len(outputs) == len(set(outputs)), f"{sorted(outputs)}: an effect is there twice"
        for id in self.sent:
            assert (id in letters) != (f"{id}.f.0" in outputs), f"{id} is neither done nor dead, or both"
        for call in self.calls:
            assert call.answer.done(), f"{call.lease.message.id} was never answered"
        # One place is always held, by the pipeline that gathers its next batch.
        assert (self.pipeline._places._free + 1, self.pipeline._places._room) == self.places, (
            "a place was not given back"
        )
        assert not self.pipeline._under_way
        assert not self.pipeline._keeper._held


def _held(run: Run, now: Mapping[str, Peeked]) -> list[str]:
    """The messages of a run that are leased to it still."""
    return [
        message.id
        for message, attempt in zip(run.messages, run.attempts, strict=True)
        if (seen := now.get(message.id)) is not None and (seen.attempts, seen.state) == (attempt, "in_flight")
    ]


async def _called(doing: Callable[[], None]) -> None:
    doing()


TestFlow = FlowMachine.TestCase
TestFlow.settings = settings(max_examples=40, deadline=None, derandomize=True, database=None)  # seconds, not minutes
