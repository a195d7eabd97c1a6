"""A handler in a real replica process: what it sees, and how its time limit and its exit read from outside."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from millrace.aws.environment import handler_environment
from millrace.flow.replicas import Lost, ReplicaSet
from millrace.source import EVENT_ATTRIBUTE
from millrace.testing import ManualClock
from millrace.types import Message
from millrace.wire import Line, Ran, Run, Spec

APP = """
import os, threading

def main(event, context):
    print("called", flush=True)
    if event == "stay":
        threading.Event().wait()
    if event == "exit":
        os._exit(7)
    return {"environment": dict(os.environ), "function": context.function_name,
            "stream": context.log_stream_name, "id": context.aws_request_id,
            "left_ms": context.get_remaining_time_in_millis(), "event": event}
"""


@asynccontextmanager
async def replicas(
    root: Path, clock: ManualClock, environment: dict[str, str] | None = None, on_line: Callable[[Line], None] = print
) -> AsyncIterator[ReplicaSet]:
    (root / "app.py").write_text(APP)
    spec = Spec("resize", "handler", "app.main", str(root), 30.0, 0, 1, "pets", "dev", "eu-west-1", "123456789012")
    whole = handler_environment(spec, os.environ, environment or {})
    found = ReplicaSet(spec, count=1, environment=whole, clock=clock, load_timeout_s=60.0, on_line=on_line)
    await found.start()
    try:
        yield found
    finally:
        await found.kill()


def raw(event: Any) -> Run:
    message = Message("m1", msgspec.json.encode(event), {EVENT_ATTRIBUTE: "raw"}, 1.0)
    return Run(1, "req-1", "q", [message], [1], ["receipt"])


async def test_a_handler_sees_lambdas_context_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the real one")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("FROM_THE_SHELL", "yes")
    async with replicas(tmp_path, ManualClock(), {"STAGE": "dev"}) as found:
        ran = await found.run(raw({"hello": "world"}))
    assert isinstance(ran, Ran)
    assert ran.values[0] is not None
    seen = msgspec.json.decode(ran.values[0])
    assert seen["event"] == {"hello": "world"}
    assert (seen["function"], seen["id"]) == ("resize", "req-1")
    assert 0 < seen["left_ms"] <= 30_000
    environment = seen["environment"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "resize"
    assert environment["AWS_LAMBDA_LOG_STREAM_NAME"] == seen["stream"] != ""
    assert (environment["STAGE"], environment["FROM_THE_SHELL"]) == ("dev", "yes")
    assert environment["AWS_SECRET_ACCESS_KEY"] == "millrace"
    assert "AWS_PROFILE" not in environment


async def test_a_handler_that_takes_too_long_is_timed_out_in_lambdas_words(tmp_path: Path) -> None:
    clock, called = ManualClock(), asyncio.Event()
    async with replicas(tmp_path, clock, on_line=lambda line: called.set()) as found:
        running = asyncio.create_task(found.run(raw("stay")))
        await called.wait()
        clock.advance(31.0)
        lost = await running
    assert isinstance(lost, Lost)
    assert lost.alone
    assert lost.failure.type == "Sandbox.Timedout"
    assert lost.failure.message == "RequestId: req-1 Error: Task timed out after 30.00 seconds"


async def test_a_handlers_time_counts_from_when_it_is_sent(tmp_path: Path) -> None:
    begun: list[bool] = []
    async with replicas(tmp_path, ManualClock()) as found:
        await found.until(lambda found: found.ready > 0)
        running = asyncio.create_task(found.run(raw("hi"), on_began=lambda: begun.append(True)))
        await asyncio.sleep(0)
        assert begun == [True]
        await running
    assert begun == [True]


async def test_a_handler_that_exits_is_lambdas_exit_error(tmp_path: Path) -> None:
    async with replicas(tmp_path, ManualClock()) as found:
        lost = await found.run(raw("exit"))
    assert isinstance(lost, Lost)
    assert lost.alone
    assert lost.failure.type == "Runtime.ExitError"
    assert lost.failure.message == "RequestId: req-1 Error: Runtime exited with error: exit status 7"
