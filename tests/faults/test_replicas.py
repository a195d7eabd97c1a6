"""Replicas as real processes: what they answer, how they die, and what becomes of the batches inside.

Nothing here waits for time: tests wait for lines, answers and states, and move the clock of the limits by hand.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import IO, Any

import psutil
import pytest

from millrace.errors import Draining
from millrace.flow.channel import Channel, Pipe
from millrace.flow.replicas import Lost, ReplicaSet
from millrace.flow.seat import backoff_s
from millrace.replica.main import Replica as ReplicaProcess
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
from millrace.telemetry import Telemetry
from millrace.testing import ManualClock
from millrace.types import Message
from millrace.wire import Began, Frame, Frames, Line, LoadFailed, Ran, Ready, Run, Spec, Stop, encode

pytestmark = pytest.mark.timeout(60)

APP = """
    import os, signal, socket, sys, threading
    from pathlib import Path

    class Echo:
        def predict(self, inputs): return inputs

    class Obedient:
        '''Does what its inputs say.'''
        def preprocess(self, message):
            text = message.text()
            if text == "exit in preprocess": os._exit(9)
            if text == "hang in preprocess":
                print("hanging")
                os.write(1, b"C hangs\\n")
                threading.Event().wait()
            return text
        def predict(self, inputs):
            print("predicting", *inputs)
            for text in inputs: self.obey(text)
            return inputs
        def channel(self): return socket.socket(fileno=os.dup(int(sys.argv[1])))
        def obey(self, text):
            if text == "hang": threading.Event().wait()
            if text == "exit": os._exit(7)
            if text == "abort": os.abort()
            if text == "close the socket":
                self.channel().shutdown(socket.SHUT_WR)
                threading.Event().wait()
            if text == "grow":
                self.hoard = bytearray(400_000_000)
                print("grown")
                threading.Event().wait()
            if text == "garble":
                self.channel().send(b"\\0\\0\\0\\1\\xc1")
                threading.Event().wait()
            if text == "chatter":
                while True: print("on and on")
            if text == "real-time signal": os.kill(os.getpid(), 40)
            if text == "child":
                pid = os.fork()
                if not pid:
                    print("from the child", flush=True)
                    signal.pause()
                print("child", pid)
                threading.Event().wait()
            if text == "say":
                print("said"); print("warned", file=sys.stderr)
                os.write(1, b"from C\\n"); os.system("echo from a shell >&2")
            if text.startswith("open "): open(text.removeprefix("open "), "rb").read()
            if text == "raise": raise ValueError("bad input")

    def obey(event, context):
        Obedient().obey(event)
        return event

    def hang(event, context):
        print("hanging")
        threading.Event().wait()

    class Fickle:
        '''Counts its loads in a file, and fails while another file says so.'''
        def load(self):
            with open("loads", "a") as file: file.write("x")
            if Path("broken").exists(): raise RuntimeError("no weights")
        def predict(self, inputs): return inputs

    class Slow:
        def load(self): threading.Event().wait()
        def predict(self, inputs): return inputs

    class Reports:
        def predict(self, inputs):
            return [{"cwd": os.getcwd(), "set": os.environ.get("SET"), "token": os.environ.get("TOKEN"),
                     "pgid": os.getpgrp(), "pid": os.getpid(),
                     "sigint": signal.getsignal(signal.SIGINT) is signal.SIG_IGN} for _ in inputs]
"""


class Bench:
    """Sets of replicas over one project folder, with all that they said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = ManualClock()
        self.telemetry = Telemetry()
        self.lines: list[Line] = []
        self._said = asyncio.Event()
        self._sets: list[ReplicaSet] = []
        (root / "app.py").write_text(dedent(APP))

    async def replicas(
        self,
        target: str = "Obedient",
        count: int = 1,
        *,
        kind: str = "model",
        timeout_s: float = 30.0,
        memory_bytes: int = 0,
        environment: Mapping[str, str] | None = None,
        ready: bool = True,
    ) -> ReplicaSet:
        spec = Spec("f", kind, f"app.{target}", str(self.root), timeout_s, memory_bytes, 2)
        found = ReplicaSet(
            spec,
            count=count,
            environment=environment or {},
            clock=self.clock,
            load_timeout_s=60.0,
            on_line=self._on_line,
            telemetry=self.telemetry,
        )
        self._sets.append(found)
        await found.start()
        if ready:
            await found.until(lambda replicas: replicas.ready == count)
        return found

    async def advance(self, seconds: float) -> None:
        """Let whoever is about to sleep do so, then let time pass."""
        for _ in range(20):
            await asyncio.sleep(0)
        self.clock.advance(seconds)
        for _ in range(20):
            await asyncio.sleep(0)

    async def line(self, text: str) -> Line:
        """The first line with that text, once it is said."""
        while True:
            for line in self.lines:
                if text in line.text:
                    return line
            await self._said.wait()

    async def close(self) -> None:
        for replicas in self._sets:
            await replicas.kill()

    def _on_line(self, line: Line) -> None:
        self.lines.append(line)
        said, self._said = self._said, asyncio.Event()
        said.set()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


def batch(*texts: str, request_id: str = "r") -> Run:
    messages = [Message(f"m-{text}", text.encode(), {"content-type": "text/plain"}) for text in texts]
    return Run(0, request_id, "q", messages, [1] * len(texts), ["x"] * len(texts))


def call(text: str) -> Run:
    message = Message(f"m-{text}", json.dumps(text).encode(), {EVENT_ATTRIBUTE: RAW_EVENT})
    return Run(0, f"r-{text}", "q", [message], [1], [])


def values(ran: Ran | Lost) -> list[Any]:
    assert isinstance(ran, Ran)
    assert ran.failure is None
    return [json.loads(value) for value in ran.values if value is not None]


def lost(answer: Ran | Lost) -> Lost:
    assert isinstance(answer, Lost)
    return answer


def pid_of(replicas: ReplicaSet, index: int = 0) -> int:
    pid = replicas.status()[index].pid
    assert pid is not None
    return pid


async def test_batches_are_answered(bench: Bench) -> None:
    replicas = await bench.replicas("Echo", 2)
    answers = await asyncio.gather(*(replicas.run(batch(f"a{n}", f"b{n}")) for n in range(20)))
    assert [values(answer) for answer in answers] == [[f"a{n}", f"b{n}"] for n in range(20)]
    assert replicas.slots == 4
    assert len(replicas.version) == 12
    assert all(status.rss_bytes > 1_000_000 for status in replicas.status())


async def test_where_a_replica_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "the parent's own")
    replicas = await bench.replicas("Reports", environment={"SET": "by the project"})
    (report,) = values(await replicas.run(batch("x")))
    assert report == {
        "cwd": str(bench.root),
        "set": "by the project",
        "token": None,
        "pgid": report["pid"],
        "pid": pid_of(replicas),
        "sigint": True,
    }


async def test_what_is_printed_becomes_lines(bench: Bench) -> None:
    replicas = await bench.replicas()
    await replicas.run(batch("say", request_id="r1"))
    for text, stream in (("said", "stdout"), ("warned", "stderr"), ("from C", "stdout"), ("from a shell", "stderr")):
        line = await bench.line(text)
        assert (line.stream, line.request_id, line.message_ids) == (stream, "r1", ("m-say",))
        assert line.pid == pid_of(replicas)


async def test_what_c_code_printed_is_passed_on_before_the_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop hears of the pipes by itself, before the answer or behind it: here never."""
    hear = Pipe.__init__

    def deaf(pipe: Pipe, file: IO[bytes], on_line: Callable[[str], None]) -> None:
        hear(pipe, file, on_line)
        asyncio.get_running_loop().remove_reader(file)

    monkeypatch.setattr(Pipe, "__init__", deaf)
    replicas = await bench.replicas()
    for id in ("r1", "r2"):
        await replicas.run(batch("say", request_id=id))
        assert [line.request_id for line in bench.lines if line.text == "from C"][-1] == id


@pytest.mark.parametrize(
    ("order", "how"),
    [
        ("exit", "exited with code 7"),
        ("exit in preprocess", "exited with code 9"),
        ("abort", "was killed by SIGABRT"),
        ("real-time signal", "was killed by signal 40"),
    ],
)
async def test_death_with_one_batch_inside(bench: Bench, order: str, how: str) -> None:
    replicas = await bench.replicas()
    pid = pid_of(replicas)
    answer = lost(await replicas.run(batch("fine", order)))
    assert answer.alone
    assert answer.failure.type == "ReplicaDied"
    assert answer.failure.message == f"the replica (pid {pid}) of f {how} with 2 messages inside"
    if order == "abort":
        assert "Fatal Python error: Aborted" in answer.failure.traceback
        assert "in obey" in answer.failure.traceback
    if order != "exit in preprocess":
        assert (await bench.line("predicting fine")).message_ids == ("m-fine", f"m-{order}")
    assert values(await replicas.run(batch("next"))) == ["next"]
    assert replicas.status()[0].restarts == 1
    assert replicas.status()[0].failure is None
    restarts = {"function": "f", "cause": "ReplicaDied"}
    assert bench.telemetry.registry.get_sample_value("millrace_replica_restarts_total", restarts) == 1


async def test_sigkill_during_predict_with_two_batches_inside(bench: Bench) -> None:
    replicas = await bench.replicas()
    first = asyncio.create_task(replicas.run(batch("hang", "a")))
    await bench.line("predicting hang")
    second = asyncio.create_task(replicas.run(batch("b")))
    await asyncio.sleep(0)
    os.kill(pid_of(replicas), signal.SIGKILL)
    for task in (first, second):
        answer = lost(await task)
        assert not answer.alone
        assert "was killed by SIGKILL with 3 messages inside" in answer.failure.message


async def test_the_next_batch_is_preprocessed_meanwhile(bench: Bench) -> None:
    pipe = bench.root / "pipe"
    os.mkfifo(pipe)
    replicas = await bench.replicas()
    first = asyncio.create_task(replicas.run(batch(f"open {pipe}")))
    await bench.line("predicting open")
    second = asyncio.create_task(replicas.run(batch("hang in preprocess")))
    assert (await bench.line("hanging")).message_ids == ("m-hang in preprocess",)
    assert not first.done()
    pipe.write_bytes(b"go on")
    assert values(await first) == [f"open {pipe}"]
    await replicas.kill()
    with pytest.raises(Draining):
        await second


async def test_timeout_blames_the_batch_in_predict(bench: Bench) -> None:
    replicas = await bench.replicas(timeout_s=5)
    first = asyncio.create_task(replicas.run(batch("hang")))
    await bench.line("predicting hang")
    second = asyncio.create_task(replicas.run(batch("innocent")))
    await asyncio.sleep(0)
    await bench.advance(4.9)
    assert replicas.ready == 1
    await bench.advance(0.2)
    guilty, innocent = lost(await first), lost(await second)
    assert (guilty.failure.type, guilty.alone) == ("Timeout", True)
    assert guilty.failure.message == "predict of f took longer than timeout 5 s"
    assert not innocent.alone


async def test_the_limit_counts_from_the_beginning_of_predict(bench: Bench) -> None:
    replicas = await bench.replicas(timeout_s=5)
    await replicas.run(batch("early"))
    await bench.advance(4)
    task = asyncio.create_task(replicas.run(batch("hang")))
    await bench.line("predicting hang")
    await bench.advance(4)
    assert replicas.ready == 1
    await bench.advance(1.5)
    assert lost(await task).failure.type == "Timeout"


async def test_preprocess_that_hangs_is_ended_too(bench: Bench) -> None:
    replicas = await bench.replicas(timeout_s=5)
    task = asyncio.create_task(replicas.run(batch("hang in preprocess")))
    await bench.line("hanging")
    assert (await bench.line("C hangs")).message_ids == ("m-hang in preprocess",)
    await bench.advance(5.1)
    answer = lost(await task)
    assert answer.failure.message == "preprocess of f took longer than timeout 5 s"
    assert answer.alone


async def test_memory_limit(bench: Bench) -> None:
    replicas = await bench.replicas(memory_bytes=200_000_000)
    task = asyncio.create_task(replicas.run(batch("grow")))
    await bench.line("grown")
    await bench.advance(0.11)
    answer = lost(await task)
    assert (answer.failure.type, answer.alone) == ("OutOfMemory", True)
    assert answer.failure.message.endswith("its memory limit is 200 MB")


async def test_alone_shares_with_nobody(bench: Bench) -> None:
    pipe = bench.root / "pipe"
    os.mkfifo(pipe)
    replicas = await bench.replicas(count=2)
    busy = asyncio.create_task(replicas.run(batch("hang")))
    await bench.line("predicting hang")
    alone = asyncio.create_task(replicas.run(batch(f"open {pipe}"), alone=True))
    await bench.line("predicting open")
    # The replica that works for `alone` takes nothing else, so these go to the one that hangs, and wait.
    after = [asyncio.create_task(replicas.run(batch(f"after {n}"))) for n in range(2)]
    await asyncio.sleep(0)
    waiting_alone = asyncio.create_task(replicas.run(batch("also alone"), alone=True))
    await asyncio.sleep(0)
    pipe.write_bytes(b"go on")
    await alone
    assert values(await waiting_alone) == ["also alone"]
    assert values(await after[1]) == ["after 1"]
    assert not busy.done()
    assert not after[0].done()


async def test_a_cancelled_run_gives_its_slot_back(bench: Bench) -> None:
    pipe = bench.root / "pipe"
    os.mkfifo(pipe)
    replicas = await bench.replicas()
    inside = asyncio.create_task(replicas.run(batch(f"open {pipe}")))
    await bench.line("predicting open")
    second = asyncio.create_task(replicas.run(batch("second")))
    waiting = asyncio.create_task(replicas.run(batch("never")))
    await asyncio.sleep(0)
    for task in (inside, waiting):
        task.cancel()
    pipe.write_bytes(b"go on")
    assert values(await second) == ["second"]
    assert values(await replicas.run(batch("third"))) == ["third"]
    assert not any("never" in line.text for line in bench.lines)


async def test_load_failure_is_told_and_tried_again_without_spinning(bench: Bench) -> None:
    broken, loads = bench.root / "broken", bench.root / "loads"
    broken.touch()
    replicas = await bench.replicas("Fickle", ready=False)
    waiting = asyncio.create_task(replicas.run(batch("x")))
    await replicas.until(lambda one: one.status()[0].state == "failed")
    failure = replicas.status()[0].failure
    assert failure is not None
    assert (failure.type, failure.message) == ("RuntimeError", "no weights")
    assert "in load" in failure.traceback
    assert (await bench.line("f did not load: RuntimeError: no weights")).stream == "ERROR"
    await bench.advance(0.2)
    assert loads.read_text() == "x"
    await bench.advance(0.3)
    await replicas.until(lambda one: one.status()[0].restarts == 2)
    assert loads.read_text() == "xx"
    assert not waiting.done()
    broken.unlink()
    await bench.advance(1.0)
    assert values(await waiting) == ["x"]
    assert loads.read_text() == "xxx"


async def test_a_load_that_fails_is_told_once_and_tried_by_one_replica_for_all(bench: Bench) -> None:
    broken, loads = bench.root / "broken", bench.root / "loads"
    broken.touch()
    replicas = await bench.replicas("Fickle", count=3, ready=False)
    await replicas.until(lambda one: all(each.state == "failed" for each in one.status()))
    assert loads.read_text() == "xxx"
    await bench.advance(0.5)
    await replicas.until(lambda one: one.status()[0].restarts == 2)
    await bench.advance(1.0)
    await replicas.until(lambda one: one.status()[0].restarts == 3)
    assert loads.read_text() == "xxx" + "xx"
    told = [line.text for line in bench.lines if "did not load" in line.text]
    assert len(told) == 1
    assert told[0].count("RuntimeError: no weights") == 1
    broken.unlink()
    await bench.advance(2.0)
    await replicas.until(lambda one: one.ready == 3)


async def test_replicas_that_wait_for_another_to_load_are_drained_at_once(bench: Bench) -> None:
    (bench.root / "broken").touch()
    replicas = await bench.replicas("Fickle", count=2, ready=False)
    await replicas.until(lambda one: all(each.state == "failed" for each in one.status()))
    await replicas.drain(10.0)
    assert [each.state for each in replicas.status()] == ["stopped", "stopped"]


async def test_a_load_that_hangs_is_ended(bench: Bench) -> None:
    replicas = await bench.replicas("Slow", ready=False)
    await bench.advance(60.1)
    await replicas.until(lambda one: one.status()[0].state == "failed")
    failure = replicas.status()[0].failure
    assert failure is not None
    assert failure.message == "load of f took longer than load_timeout 60 s"


@pytest.mark.parametrize(
    ("target", "said"),
    [("Ecko", "did you mean Echo?"), ("Echo.predicts", "app.Echo.predicts")],
)
async def test_a_target_that_is_not_there(bench: Bench, target: str, said: str) -> None:
    replicas = await bench.replicas(target, ready=False)
    await replicas.until(lambda one: one.status()[0].state == "failed")
    failure = replicas.status()[0].failure
    assert failure is not None
    assert failure.type == "LoadError"
    assert said in failure.message


async def test_a_folder_that_is_not_there(bench: Bench) -> None:
    bench.root = bench.root / "gone"
    replicas = await bench.replicas("Echo", ready=False)
    await replicas.until(lambda one: one.status()[0].state == "failed")
    failure = replicas.status()[0].failure
    assert failure is not None
    assert "cannot start a replica" in failure.message


async def test_drain_answers_what_is_inside_turns_away_the_rest_and_stops(bench: Bench) -> None:
    pipe = bench.root / "pipe"
    os.mkfifo(pipe)
    replicas = await bench.replicas()
    tasks = [asyncio.create_task(replicas.run(batch(text))) for text in (f"open {pipe}", "b", "c")]
    await bench.line("predicting open")
    process = psutil.Process(pid_of(replicas))
    draining = asyncio.create_task(replicas.drain(30))
    await asyncio.sleep(0)
    pipe.write_bytes(b"go on")
    await draining
    assert [values(await task) for task in tasks[:2]] == [[f"open {pipe}"], ["b"]]
    with pytest.raises(Draining):
        await tasks[2]  # it was never begun: its messages are better off in the queue
    assert replicas.status()[0].state == "stopped"
    assert not process.is_running()
    with pytest.raises(Draining):
        await replicas.run(batch("late"))


async def test_what_waits_is_given_up_by_a_signal_of_its_own_and_what_is_inside_goes_on(bench: Bench) -> None:
    replicas = await bench.replicas("Slow", ready=False)
    loop = asyncio.get_running_loop()
    leaving, staying = loop.create_future(), loop.create_future()
    waiting = asyncio.create_task(replicas.run(batch("x"), unless=leaving))
    cancelled = asyncio.create_task(replicas.run(batch("y"), unless=leaving))
    other = asyncio.create_task(replicas.run(batch("z"), unless=staying))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cancelled.cancel()
    leaving.set_result(None)
    with pytest.raises(Draining):
        await waiting
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    with pytest.raises(Draining):
        await replicas.run(batch("w"), unless=leaving)
    assert not other.done()
    await replicas.kill()
    with pytest.raises(Draining):
        await other


async def test_what_waits_can_be_withdrawn_and_what_is_inside_goes_on(bench: Bench) -> None:
    replicas = await bench.replicas("Slow", ready=False)
    waiting = replicas.ask(batch("x"))
    replicas.withdraw(waiting)
    assert waiting.answer.cancelled()
    await replicas.kill()
    other = await bench.replicas("Echo")
    inside = other.ask(batch("y"))
    other.withdraw(inside)
    assert values(await inside.answer) == ["y"]
    other.close()
    with pytest.raises(Draining):
        other.ask(batch("z"))


async def quick(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> ReplicaSet:
    """One replica of a handler that was through with its last call in a moment, however long that took here."""
    monkeypatch.setattr("millrace.flow.replica._QUICK_S", math.inf)
    replicas = await bench.replicas("obey", kind="handler")
    assert values(await replicas.run(call("first"))) == ["first"]
    assert replicas.quick
    return replicas


async def test_calls_that_a_dying_handler_had_not_begun_go_to_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicas = await quick(bench, monkeypatch)
    head, *others = [replicas.ask(call(text), ahead=True) for text in ("exit", "b", "c")]
    last = replicas.ask(call("d"))  # not one to stand behind others
    for request in others:
        replicas.withdraw(request)  # they are inside, and go on
    died = lost(await head.answer)
    assert died.alone
    assert died.failure.type == "Runtime.ExitError"
    assert [values(await request.answer) for request in (*others, last)] == [["b"], ["c"], ["d"]]
    assert replicas.status()[0].restarts == 1


async def test_calls_that_a_dying_handler_had_not_begun_are_turned_away_in_a_drain(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicas = await quick(bench, monkeypatch)
    head, other = [replicas.ask(call(text), ahead=True) for text in ("hang", "b")]
    replicas.close()
    await bench.advance(30.0)
    assert lost(await head.answer).failure.type == "Sandbox.Timedout"
    with pytest.raises(Draining):
        await other.answer


async def test_the_limit_of_a_call_behind_another_counts_from_its_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicas = await quick(bench, monkeypatch)
    os.mkfifo(bench.root / "held")
    head, other = [replicas.ask(call(text), ahead=True) for text in (f"open {bench.root / 'held'}", "hang")]
    assert (head.began, other.began) == (True, False)
    await bench.advance(20.0)
    (bench.root / "held").write_text("go on")
    await head.answer
    assert other.began
    await bench.advance(20.0)
    assert not other.answer.done()
    await bench.advance(10.0)
    assert lost(await other.answer).failure.type == "Sandbox.Timedout"


async def test_calls_wait_outside_where_they_take_longer_or_another_replica_may_be_free(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, two = await bench.replicas("obey", kind="handler"), await bench.replicas("obey", 2, kind="handler")
    monkeypatch.setattr("millrace.flow.replica._QUICK_S", 0.0)
    await slow.run(call("first"))
    monkeypatch.setattr("millrace.flow.replica._QUICK_S", math.inf)
    await two.run(call("first"))
    for replicas in (slow, two):
        assert not replicas.quick
        *inside, waiting = [replicas.ask(call("hang"), ahead=True) for _ in range(replicas.slots + 1)]
        replicas.withdraw(waiting)
        assert waiting.answer.cancelled()
        assert all(request.began for request in inside)


async def test_what_was_given_to_a_replica_is_answered_whatever_is_signalled(bench: Bench) -> None:
    replicas = await bench.replicas("Echo", ready=False)
    leaving = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(replicas.run(batch("x"), unless=leaving))
    await replicas.until(lambda found: found.ready > 0)
    leaving.set_result(None)
    assert values(await running) == ["x"]


async def test_drain_kills_what_does_not_end(bench: Bench) -> None:
    replicas = await bench.replicas(timeout_s=1000)
    task = asyncio.create_task(replicas.run(batch("hang")))
    waiting = [asyncio.create_task(replicas.run(batch(text))) for text in "abc"]
    await bench.line("predicting hang")
    draining = asyncio.create_task(replicas.drain(30))
    await bench.advance(30.1)
    await draining
    for one in (task, *waiting):
        with pytest.raises(Draining):
            await one
    assert replicas.status()[0].state == "stopped"


async def test_drain_of_a_function_that_never_loaded(bench: Bench) -> None:
    replicas = await bench.replicas("Slow", ready=False)
    waiting = asyncio.create_task(replicas.run(batch("x")))
    await asyncio.sleep(0)
    await replicas.drain(30)
    with pytest.raises(Draining):
        await waiting


async def test_drain_of_a_set_that_was_never_started(bench: Bench) -> None:
    spec = Spec("f", "handler", "app.x", str(bench.root), 1.0, 0, 1)
    replicas = ReplicaSet(
        spec, count=3, environment={}, clock=bench.clock, load_timeout_s=1.0, on_line=bench.lines.append
    )
    assert replicas.slots == 3
    await replicas.drain(1)
    assert [status.state for status in replicas.status()] == ["stopped"] * 3


async def test_a_replica_that_closes_its_socket_is_ended(bench: Bench) -> None:
    replicas = await bench.replicas()
    assert "SIGKILL" in lost(await replicas.run(batch("close the socket"))).failure.message


async def test_processes_of_user_code_end_with_their_replica(bench: Bench) -> None:
    replicas = await bench.replicas()
    task = asyncio.create_task(replicas.run(batch("child")))
    await bench.line("from the child")
    child = psutil.Process(int((await bench.line("child ")).text.split()[1]))
    exited = os.pidfd_open(child.pid)
    os.kill(pid_of(replicas), signal.SIGKILL)
    lost(await task)
    assert await asyncio.to_thread(select.select, [exited], [], [], 30) != ([], [], [])
    os.close(exited)


async def test_no_zombies_and_no_descriptors_are_left(bench: Bench) -> None:
    replicas = await bench.replicas("Echo")
    await replicas.kill()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        replicas = await bench.replicas()
        await replicas.run(batch("exit"))
        await replicas.run(batch("fine"))
        await replicas.drain(30)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


async def test_without_pidfd_a_thread_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    replicas = await bench.replicas()
    assert lost(await replicas.run(batch("exit"))).alone
    assert values(await replicas.run(batch("fine"))) == ["fine"]
    await replicas.drain(30)


async def test_a_replica_that_breaks_the_protocol_is_ended(bench: Bench) -> None:
    replicas = await bench.replicas()
    answer = lost(await replicas.run(batch("garble")))
    assert answer.alone
    assert answer.failure.message.startswith("the replica of f broke the protocol")
    task = asyncio.create_task(replicas.run(batch("hang")))
    await bench.line("predicting hang")
    (seat,) = replicas._seats._seats
    assert seat.replica is not None
    with pytest.raises(LookupError, match="batch 99"):
        seat.replica._take(Began(99))
    task.cancel()


async def test_a_batch_that_a_dying_replica_never_saw_goes_to_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicas = await bench.replicas()
    pid = pid_of(replicas)
    with monkeypatch.context() as patch:
        # What sending gives between a process's death and the parent's noticing.
        patch.setattr(Channel, "send", lambda channel, frame: os.write(-1, b""))
        task = asyncio.create_task(replicas.run(batch("x")))
        await asyncio.sleep(0)
    assert values(await task) == ["x"]
    assert pid_of(replicas) != pid


async def test_resident_memory_of_a_process_that_is_gone(bench: Bench) -> None:
    replicas = await bench.replicas()
    (seat,) = replicas._seats._seats
    replica = seat.replica
    assert replica is not None
    os.kill(replica.pid, signal.SIGKILL)
    os.waitid(os.P_PID, replica.pid, os.WEXITED | os.WNOWAIT)  # dead, and the parent has not noticed yet
    assert (replica.state, replica.rss_bytes) == ("ready", 0)
    await replicas.drain(30)
    assert replica.rss_bytes == 0


async def test_a_batch_larger_than_the_socket_takes(bench: Bench) -> None:
    replicas = await bench.replicas("Echo")
    big = "x" * 10_000_000
    first, second = await asyncio.gather(replicas.run(batch(big)), replicas.run(batch(big)))
    assert values(first) == values(second) == [big]


@pytest.mark.parametrize(
    ("misses", "loaded", "seconds"), [(1, True, 0), (2, True, 0.5), (3, True, 1), (1, False, 0.5), (99, False, 30)]
)
def test_backoff(misses: int, loaded: bool, seconds: float) -> None:
    assert backoff_s(misses, loaded=loaded) == seconds


class Child:
    """A replica without a parent's side: the test is at the other end of its socket."""

    def __init__(self, root: Path, target: str, kind: str = "model") -> None:
        (root / "app.py").write_text(dedent(APP))
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(30)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "millrace.replica", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=root,
        )
        theirs.close()
        self._frames = Frames()
        self._arrived: list[Frame] = []
        self.socket.sendall(encode(Spec("f", kind, f"app.{target}", str(root), 30.0, 0, 2)))

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        while True:
            while self._arrived:
                if wanted(frame := self._arrived.pop(0)):
                    return frame
            data = self.socket.recv(65536)
            assert data, "the replica closed its socket"
            self._arrived += self._frames.feed(data)


@pytest.mark.parametrize("order", ["hang", "chatter"])
def test_a_replica_ends_when_its_socket_does_even_in_predict(tmp_path: Path, order: str) -> None:
    child = Child(tmp_path, "Obedient")
    child.until(lambda frame: isinstance(frame, Ready))
    child.socket.sendall(encode(batch(order)))
    child.until(lambda frame: isinstance(frame, Line))
    child.socket.close()
    assert child.process.wait(30) == 70


def test_a_handler_that_hangs_ends_with_its_socket(tmp_path: Path) -> None:
    child = Child(tmp_path, "hang", "handler")
    child.until(lambda frame: isinstance(frame, Ready))
    child.socket.sendall(encode(batch("a")))
    child.until(lambda frame: isinstance(frame, Line))
    child.socket.close()
    assert child.process.wait(30) == 70


def test_a_replica_ends_when_it_is_sent_no_frame_of_ours(tmp_path: Path) -> None:
    child = Child(tmp_path, "hang", "handler")
    child.until(lambda frame: isinstance(frame, Ready))
    child.socket.sendall(b"\0\0\0\1\xc1")
    assert child.process.wait(30) == 70
    child.socket.close()


def test_a_replica_that_cannot_load_says_why_and_exits(tmp_path: Path) -> None:
    child = Child(tmp_path, "Missing")
    frame = child.until(lambda frame: isinstance(frame, LoadFailed))
    assert "did you mean" not in frame.failure.message
    assert "Obedient" in frame.failure.message
    assert child.process.wait(30) == 3
    child.socket.close()


def test_a_replica_finishes_what_it_got_before_it_stops(tmp_path: Path) -> None:
    child = Child(tmp_path, "Echo")
    child.socket.sendall(encode(batch("a")) + encode(batch("b")) + encode(Stop()))
    for text in "ab":
        ran = child.until(lambda frame: isinstance(frame, Ran))
        assert ran.values == [json.dumps(text).encode()]
    assert child.process.wait(30) == 0
    child.socket.close()


def test_what_is_printed_while_a_frame_is_written_waits_for_its_turn() -> None:
    ours, theirs = socket.socketpair()
    replica = ReplicaProcess(ours)
    replica._writing = True  # as a signal handler or a finaliser finds it
    replica.send(Began(1))
    replica._writing = False
    replica.send(Began(2))
    assert list(Frames().feed(theirs.recv(1000))) == [Began(1), Began(2)]
    ours.close()
    theirs.close()


def test_a_replica_is_not_started_by_hand() -> None:
    done = subprocess.run([sys.executable, "-m", "millrace.replica"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "started by millrace" in done.stderr


PARENT = """
    import asyncio, sys
    from millrace.clock import SystemClock
    from millrace.flow.replicas import ReplicaSet
    from millrace.types import Message
    from millrace.wire import Run, Spec

    async def main():
        def say(line):
            if line.text == "stuck": print(line.pid, flush=True)
        replicas = ReplicaSet(Spec("f", "model", "stuck.Stuck", sys.argv[1], 30.0, 0, 1), count=1, environment={},
                              clock=SystemClock(), load_timeout_s=30, on_line=say)
        await replicas.start()
        await replicas.run(Run(0, "r", "q", [Message("a")], [1], ["x"]))

    asyncio.run(main())
"""
STUCK = """
    import ctypes
    class Stuck:
        def predict(self, inputs):
            print("stuck")
            ctypes.PyDLL(None).pause()  # C code that never gives the interpreter lock back
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_replica_dies_with_its_parent_whatever_it_does(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(dedent(STUCK))
    parent = subprocess.Popen([sys.executable, "-c", dedent(PARENT), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    exited = os.pidfd_open(pid)
    parent.kill()
    parent.wait(30)
    parent.stdout.close()
    assert select.select([exited], [], [], 30)[0]
    os.close(exited)
