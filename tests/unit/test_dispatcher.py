"""Calls that go straight to the replicas: their order, their answers, and who is turned away."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags

from millrace.errors import Draining
from millrace.flow.dispatcher import Call, Dispatcher
from millrace.flow.mapping import Mapping
from millrace.flow.outcomes import Decider, Rules
from millrace.flow.request import Answer, Lost, Request
from millrace.flow.sinks import Sinks
from millrace.telemetry import Telemetry
from millrace.testing import ManualClock
from millrace.types import Failure, Lease, Message, Record
from millrace.wire import Line, Ran, Run

FAILURE = Failure("ValueError", "too dark", "app.py, line 1\nValueError: too dark")


class Replicas:
    """Stands in for a ReplicaSet: keeps what it is asked; `slots` of them begin at once."""

    version = "v1"
    slots = 1
    quick = False

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.withdrawn: list[Request] = []
        self.closed = False

    def ask(self, run: Run, *, answer: Answer, impatient: bool = False, ahead: bool = False) -> Request:
        if self.closed:
            raise Draining("closed")
        assert impatient
        assert ahead
        self.asked.append(Request(run, False, answer=answer, impatient=impatient))
        return self.asked[-1]

    def withdraw(self, request: Request) -> None:
        self.withdrawn.append(request)
        request.answer.cancel()

    @property
    def ids(self) -> list[str]:
        return [request.run.messages[0].id for request in self.asked]


class Bench:
    def __init__(self) -> None:
        self.replicas, self.clock, self.telemetry = Replicas(), ManualClock(), Telemetry()
        self.lines: list[Line] = []
        self.dispatcher = Dispatcher(
            "f",
            "calls",
            replicas=self.replicas,  # type: ignore[arg-type]
            decider=Decider("f", Rules(max_receives=1, call=True), Sinks("f", [], {}), self.clock),
            mapping=Mapping(request_id=_first_id, impatient=True),
            clock=self.clock,
            telemetry=self.telemetry,
            on_line=self.lines.append,
        )

    def call(self, id: str) -> Call:
        return self.dispatcher.call(Message(id, b"{}", sent_at=self.clock.now()))

    async def answered(self, call: Call) -> Record:
        """The call's record, once the next has had its turn."""
        await asyncio.sleep(0)
        return await call.answer

    def counted(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"millrace_{name}", {"function": "f", **labels})


def _first_id(leases: Sequence[Lease]) -> str:
    (lease,) = leases
    assert lease.expires_at == math.inf
    return f"request-{lease.message.id}"


def ran(value: bytes | None = b'"hi"', **failures: Failure) -> Ran:
    return Ran(0, [value], {int(place[1:]): failure for place, failure in failures.items()}, None, 0.01)


async def test_a_call_is_answered_with_its_record() -> None:
    bench = Bench()
    call = bench.call("a")
    (request,) = bench.replicas.asked
    assert (request.run.request_id, request.run.queue, request.run.attempts) == ("request-a", "calls", [1])
    bench.clock.advance(2.0)
    request.finish(ran())
    record = await call.answer
    assert (record.id, record.queue, record.state, record.function, record.version) == ("a", "calls", "done", "f", "v1")
    assert record.value is not None
    assert bytes(record.value) == b'"hi"'
    assert record.finished_at - record.started_at == 2.0
    assert bench.lines == []
    assert bench.counted("messages_taken_total") == 1
    assert bench.counted("batches_total", reason="full") == 1
    assert bench.counted("predict_seconds_count") == 1
    assert bench.counted("messages_settled_total", verdict="done") == 1


@pytest.mark.parametrize(
    "answer",
    [
        Lost(FAILURE, alone=True),
        ran(None, _0=FAILURE),
        Ran(0, [], {}, FAILURE, 0.01),
    ],
)
async def test_a_failure_is_the_answer_and_stands_in_the_log(answer: Ran | Lost) -> None:
    bench = Bench()
    call = bench.call("a")
    bench.replicas.asked[0].finish(answer)
    record = await call.answer
    assert (record.state, record.failure) == ("dead", FAILURE)
    (line,) = bench.lines
    assert (line.stream, line.request_id, line.message_ids) == ("ERROR", "request-a", ("a",))
    assert line.text.startswith("call a failed: ValueError: too dark")


async def test_no_more_than_two_stand_in_the_replicas_line_and_the_first_that_came_goes_first() -> None:
    bench = Bench()
    calls = [bench.call(id) for id in "abcde"]
    assert bench.replicas.ids == ["a", "b", "c"]
    for number, call in enumerate(calls):
        bench.replicas.asked[number].finish(ran())
        await bench.answered(call)
    assert bench.replicas.ids == ["a", "b", "c", "d", "e"]


async def test_more_stand_there_where_each_takes_but_a_moment() -> None:
    bench = Bench()
    calls = [bench.call(id) for id in "abcdefghijkl"]
    assert bench.replicas.ids == ["a", "b", "c"]
    bench.replicas.quick = True
    bench.replicas.asked[0].finish(ran())
    await bench.answered(calls[0])
    assert bench.replicas.ids == list("abcdefghij")
    bench.replicas.quick = False
    bench.replicas.asked[1].finish(ran())
    await bench.answered(calls[1])
    assert bench.replicas.ids == list("abcdefghij")


async def test_a_call_that_nobody_waits_for_any_more_does_not_begin() -> None:
    bench = Bench()
    calls = [bench.call(id) for id in "abcde"]
    calls[3].withdraw()  # it waits for its turn
    calls[3].withdraw()  # harmless
    calls[1].withdraw()  # it waits for a replica
    assert [request.run.messages[0].id for request in bench.replicas.withdrawn] == ["b"]
    bench.replicas.asked[0].finish(ran())
    await bench.answered(calls[0])
    assert bench.replicas.ids == ["a", "b", "c", "e"]
    assert not calls[1].answer.done()


async def test_who_went_away_hears_nothing_and_what_ran_is_counted() -> None:
    bench = Bench()
    call, next_one = bench.call("a"), bench.call("b")
    call.answer.cancel()
    bench.replicas.asked[0].finish(ran())
    bench.replicas.asked[1].finish(ran())
    await next_one.answer
    assert bench.counted("messages_settled_total", verdict="done") == 2


async def test_a_drain_turns_away_what_had_no_turn_and_ends_when_the_rest_is_answered() -> None:
    bench = Bench()
    calls = [bench.call(id) for id in "abcd"]
    running = asyncio.create_task(bench.dispatcher.run())
    bench.dispatcher.drain()
    with pytest.raises(Draining, match="shutting down"):
        await calls[3].answer
    late = bench.call("e")
    with pytest.raises(Draining):
        await late.answer
    for request in bench.replicas.asked[:2]:
        request.finish(ran())
    await calls[1].answer
    assert not running.done()
    bench.replicas.asked[2].answer.set_exception(Draining("killed"))
    await running
    with pytest.raises(Draining, match="killed"):
        await calls[2].answer


async def test_an_idle_one_ends_at_once() -> None:
    bench = Bench()
    bench.dispatcher.abandon()
    await bench.dispatcher.run()


async def test_replicas_that_are_closed_turn_calls_away() -> None:
    bench = Bench()
    bench.replicas.closed = True
    gone = bench.call("a")
    gone.answer.cancel()
    with pytest.raises(Draining, match="closed"):
        await bench.call("b").answer
    assert bench.counted("messages_taken_total") is None


class Tracer:
    """Stands in for an SDK's: `told` has what began inside what, and what ended, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start_span(self, name: str, context: Context | None = None, *, attributes: dict[str, str]) -> Span:
        around = trace.get_current_span(context) if context is not None else None
        assert attributes == {"function": "f", "request_id": "request-a"}
        self.told.append(f"{name} in {around.name}" if isinstance(around, Told) else name)
        return Told(name, self.told)


class Told(NonRecordingSpan):
    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__(SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(1)))
        self.name = name
        self._told = told

    def end(self, end_time: int | None = None) -> None:
        self._told.append(f"{self.name} ends")


async def test_a_call_has_the_spans_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = Tracer()
    monkeypatch.setattr(trace, "get_tracer_provider", object)
    monkeypatch.setattr(trace, "get_tracer", lambda name: tracer)
    bench = Bench()
    call = bench.call("a")
    bench.replicas.asked[0].finish(ran())
    await call.answer
    batch, run = "millrace.batch", "millrace.run"
    assert tracer.told == [batch, f"{run} in {batch}", f"{run} ends", f"{batch} ends"]
