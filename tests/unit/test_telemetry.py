"""The numbers, and that they are each Telemetry's own."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from opentelemetry import trace

from millrace.telemetry import SpanName, Step, Telemetry
from millrace.types import Commit, Lease, Message, Outcome, Record


def outcome(verdict: str, started_at: float = 0.0) -> Outcome:
    lease = Lease("q", Message("a"), 1, 1, 0.0)
    record = Record("a", "q", "done", accepted_at=10.0, started_at=started_at)
    return Outcome(lease, verdict, record)  # type: ignore[arg-type]


def sample(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(f"millrace_{name}", labels)


def test_a_batch_is_counted() -> None:
    telemetry = Telemetry()
    telemetry.accepted("q", 3)
    telemetry.taken("f", 3)
    telemetry.taken("f", 0)
    telemetry.batch_released("f", "full", 3)
    telemetry.predicted("f", 3, 0.2)
    telemetry.committed("f", Commit("q", [outcome("done", 12.0), outcome("done"), outcome("retry")]), 1, 0.01)
    assert sample(telemetry, "messages_accepted_total", queue="q") == 3
    assert sample(telemetry, "messages_taken_total", function="f") == 3
    assert sample(telemetry, "batches_total", function="f", reason="full") == 1
    assert sample(telemetry, "batch_size_sum", function="f") == 3
    assert sample(telemetry, "predict_seconds_sum", function="f") == 0.2
    assert sample(telemetry, "commit_seconds_count", function="f") == 1
    assert sample(telemetry, "queue_wait_seconds_sum", function="f") == 2.0
    verdicts = {
        name: sample(telemetry, "messages_settled_total", function="f", verdict=name)
        for name in ("done", "retry", "fenced")
    }
    assert verdicts == {"done": 2, "retry": 1, "fenced": 1}


def test_replicas_queues_and_requests() -> None:
    telemetry = Telemetry()
    telemetry.replica_moved("f", "stopped", "loading")
    telemetry.replica_moved("f", "loading", "ready")
    telemetry.replica_restarted("f", "Timeout")
    telemetry.queue_messages("q", {"ready": 4, "dead": 1})
    telemetry.request("POST", "/images", 202, 0.003)
    assert sample(telemetry, "replicas", function="f", state="ready") == 1
    assert sample(telemetry, "replicas", function="f", state="loading") == 0
    assert sample(telemetry, "replica_restarts_total", function="f", cause="Timeout") == 1
    assert sample(telemetry, "queue_messages", queue="q", state="dead") == 1
    assert sample(telemetry, "http_requests_total", method="POST", route="/images", status="202") == 1
    assert sample(telemetry, "http_request_seconds_count", method="POST", route="/images") == 1


def test_calls_are_counted_once_however_often_somebody_asks() -> None:
    telemetry = Telemetry()
    record = Record("a", "q", "done", accepted_at=10.0, started_at=12.0)
    for predict_s in (0.2, None, 0.4):
        telemetry.called("f", record, predict_s)
    text = telemetry.exposition()[0].decode()
    assert text == telemetry.exposition()[0].decode()
    for line in (
        'millrace_messages_taken_total{function="f"} 3.0',
        'millrace_batches_total{function="f",reason="full"} 3.0',
        'millrace_batch_size_bucket{function="f",le="1.0"} 3.0',
        'millrace_batch_size_sum{function="f"} 3.0',
        'millrace_messages_settled_total{function="f",verdict="done"} 3.0',
        'millrace_predict_seconds_count{function="f"} 2.0',
        'millrace_queue_wait_seconds_sum{function="f"} 6.0',
    ):
        assert line in text.splitlines()


def test_each_has_its_own_registry() -> None:
    one, other = Telemetry(), Telemetry()
    one.accepted("q", 1)
    assert sample(other, "messages_accepted_total", queue="q") is None
    body, content_type = one.exposition()
    assert b'millrace_messages_accepted_total{queue="q"} 1.0' in body
    assert content_type.startswith("text/plain")


def test_steps_reach_the_observer() -> None:
    seen: list[Step] = []
    Telemetry(seen.append).step(Step.BEFORE_COMMIT)
    Telemetry().step(Step.AFTER_COMMIT)
    assert seen == [Step.BEFORE_COMMIT]


def test_spans_cost_nothing_without_an_sdk() -> None:
    with Telemetry().span(SpanName.BATCH, {"size": 3}) as span:
        assert not span.is_recording()


def test_spans_are_those_of_an_sdk_that_is_set_up_later(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry, begun, now_s = Telemetry(), [], [10.0]
    monkeypatch.setattr("millrace.telemetry.monotonic", lambda: now_s[0])
    assert telemetry.opened(SpanName, {}) == []
    provider, tracer = trace.NoOpTracerProvider(), trace.NoOpTracer()
    monkeypatch.setattr(provider, "get_tracer", lambda *_, **__: tracer)
    monkeypatch.setattr(tracer, "start_as_current_span", lambda name, **_: begun.append(name) or nullcontext())
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    with telemetry.span(SpanName.BATCH):
        assert begun == []  # it is looked for once a second
    now_s[0] += 1.0
    with telemetry.span(SpanName.RUN):
        assert begun == [SpanName.RUN]
