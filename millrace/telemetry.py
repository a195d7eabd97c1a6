"""The names of everything that is counted, timed or traced, and of the steps at which a crash is tested.

Only parent processes import this. Each Telemetry has a registry of its own, so that nothing leaks between tests.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Any, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Span
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics import MetricWrapperBase

from millrace.types import Commit

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 10_000)

_Metric = TypeVar("_Metric", bound=MetricWrapperBase)


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of when it began, which no dashboard reads


class Step(StrEnum):
    """Where a batch is in the flow: a crash test stops the process at each of them."""

    BEFORE_TAKE = "before take"
    AFTER_TAKE = "after take"
    BEFORE_GATHER = "before gather"
    AFTER_GATHER = "after gather"
    BEFORE_RUN = "before run"
    AFTER_RUN = "after run"
    BEFORE_DECIDE = "before decide"
    AFTER_DECIDE = "after decide"
    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"


class SpanName(StrEnum):
    """The spans of a trace."""

    BATCH = "millrace.batch"  # a batch from its release to its commit
    RUN = "millrace.run"  # a batch, or a part of it, in a replica


class Telemetry:
    """Counters, histograms and spans of one process; every method is cheap enough for each batch.

    `observer` is called at each Step, in the event loop.
    """

    def __init__(self, observer: Callable[[Step], None] | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        self._observer = observer
        self._tracer = trace.get_tracer("millrace")
        self._children: dict[tuple[MetricWrapperBase, tuple[str, ...]], Any] = {}
        function = ["function"]
        self._accepted = Counter(
            "millrace_messages_accepted", "Messages stored through the gateway.", ["queue"], registry=registry
        )
        self._taken = Counter("millrace_messages_taken", "Messages leased.", function, registry=registry)
        self._filtered = Counter(
            "millrace_messages_filtered", "Messages that a filter kept from running.", function, registry=registry
        )
        self._settled = Counter(
            "millrace_messages_settled",
            "Messages by what became of them; fenced: the lease was lost and the late result thrown away.",
            ["function", "verdict"],
            registry=registry,
        )
        self._batches = Counter(
            "millrace_batches", "Batches by why they were released.", ["function", "reason"], registry=registry
        )
        self._batch_size = Histogram(
            "millrace_batch_size", "Messages in a batch.", function, buckets=_SIZES, registry=registry
        )
        self._queue_wait = Histogram(
            "millrace_queue_wait_seconds",
            "From being sent to being run, of the first message of each commit.",
            function,
            buckets=_SECONDS,
            registry=registry,
        )
        self._predict = Histogram(
            "millrace_predict_seconds", "One batch in predict.", function, buckets=_SECONDS, registry=registry
        )
        self._commit = Histogram(
            "millrace_commit_seconds", "One commit, durable.", function, buckets=_SECONDS, registry=registry
        )
        self._restarts = Counter(
            "millrace_replica_restarts",
            "Replicas that died or did not load, by the type of the failure.",
            ["function", "cause"],
            registry=registry,
        )
        self._replicas = Gauge("millrace_replicas", "Replicas by state.", ["function", "state"], registry=registry)
        self._requests = Counter(
            "millrace_http_requests", "Requests by route and status.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "millrace_http_request_seconds", "Requests.", ["method", "route"], buckets=_SECONDS, registry=registry
        )
        self._depth = Gauge("millrace_queue_messages", "Messages in a queue.", ["queue", "state"], registry=registry)

    def step(self, step: Step) -> None:
        """Tell the observer, if there is one."""
        if self._observer is not None:
            self._observer(step)

    def span(
        self, name: SpanName, attributes: Mapping[str, str | int | float] | None = None
    ) -> AbstractContextManager[Span]:
        """A span around a block; without an OpenTelemetry SDK, whose stand-ins are dear, it costs next to nothing."""
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return nullcontext(trace.INVALID_SPAN)
        return self._tracer.start_as_current_span(name, attributes=attributes)

    def opened(self, names: Iterable[SpanName], attributes: Mapping[str, str | int | float]) -> list[Span]:
        """Spans, each inside the one before, that somebody else ends; none without an SDK."""
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return []
        spans: list[Span] = []
        for name in names:
            around = trace.set_span_in_context(spans[-1]) if spans else None
            spans.append(self._tracer.start_span(name, around, attributes=attributes))
        return spans

    def accepted(self, queue: str, count: int) -> None:
        """So many messages of a request were stored durably."""
        self._child(self._accepted, queue).inc(count)

    def taken(self, function: str, count: int) -> None:
        """Messages were leased."""
        if count:
            self._child(self._taken, function).inc(count)

    def filtered(self, function: str, count: int) -> None:
        """Messages were deleted without running, since they match no filter."""
        if count:
            self._child(self._filtered, function).inc(count)

    def batch_released(self, function: str, reason: str, size: int) -> None:
        """The batcher let a batch go."""
        self._child(self._batches, function, reason).inc()
        self._child(self._batch_size, function).observe(size)

    def predicted(self, function: str, size: int, predict_s: float) -> None:
        """A batch of `size` ran without failing as a whole."""
        if size:
            self._child(self._predict, function).observe(predict_s)

    def committed(self, function: str, commit: Commit, lost: int, commit_s: float) -> None:
        """A commit is durable; `lost` of its leases had gone to somebody else."""
        self._child(self._commit, function).observe(commit_s)
        for verdict, count in Tally(outcome.verdict for outcome in commit.outcomes).items():
            self._child(self._settled, function, verdict).inc(count)
        if lost:
            self._child(self._settled, function, "fenced").inc(lost)
        first = commit.outcomes[0].record if commit.outcomes else None
        if first is not None and first.started_at:
            self._child(self._queue_wait, function).observe(max(0.0, first.started_at - first.accepted_at))

    def replica_restarted(self, function: str, cause: str) -> None:
        """A replica died or did not load; `cause` is the failure's type."""
        self._child(self._restarts, function, cause).inc()

    def replica_moved(self, function: str, before: str, after: str) -> None:
        """A replica changed its state; every replica begins and ends as `stopped`, which is not counted."""
        for state, step in ((before, -1), (after, 1)):
            if state != "stopped":
                self._child(self._replicas, function, state).inc(step)

    def queue_messages(self, queue: str, by_state: Mapping[str, int]) -> None:
        """How many messages of a queue are in each state."""
        for state, count in by_state.items():
            self._child(self._depth, queue, state).set(count)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered; `route` is the pattern, never the path that was asked for."""
        self._child(self._requests, method, route, str(status)).inc()
        self._child(self._request_seconds, method, route).observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Everything in Prometheus's text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _child(self, metric: _Metric, *labels: str) -> _Metric:
        """The series of these labels: the library would take a lock and make new text of them each time."""
        found: _Metric | None = self._children.get((metric, labels))
        if found is None:
            found = self._children[metric, labels] = metric.labels(*labels)
        return found
