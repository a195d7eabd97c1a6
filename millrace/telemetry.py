"""The names of everything that is counted, timed or traced, and of the steps at which a crash is tested.

Only parent processes import this. Each Telemetry has a registry of its own, so that nothing leaks between tests.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from time import monotonic

from opentelemetry import trace
from opentelemetry.trace import Span
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from millrace.series import Ahead, Count, Spread
from millrace.types import Commit, Record

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_LOOK_S = 1.0
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 10_000)


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
        self._traced, self._look_at_s = False, 0.0
        self._calls: Tally[str] = Tally()  # by function, not yet counted in the series below
        Ahead(self._count_calls, registry)
        function = ["function"]
        self._accepted = Count(
            "millrace_messages_accepted", "Messages stored through the gateway.", ["queue"], registry
        )
        self._taken = Count("millrace_messages_taken", "Messages leased.", function, registry)
        self._filtered = Count(
            "millrace_messages_filtered", "Messages that a filter kept from running.", function, registry
        )
        self._settled = Count(
            "millrace_messages_settled",
            "Messages by what became of them; fenced: the lease was lost and the late result thrown away.",
            ["function", "verdict"],
            registry,
        )
        self._batches = Count(
            "millrace_batches", "Batches by why they were released.", ["function", "reason"], registry
        )
        self._batch_size = Spread("millrace_batch_size", "Messages in a batch.", function, _SIZES, registry)
        self._queue_wait = Spread(
            "millrace_queue_wait_seconds",
            "From being sent to being run, of the first message of each commit.",
            function,
            _SECONDS,
            registry,
        )
        self._predict = Spread("millrace_predict_seconds", "One batch in predict.", function, _SECONDS, registry)
        self._commit = Spread("millrace_commit_seconds", "One commit, durable.", function, _SECONDS, registry)
        self._restarts = Count(
            "millrace_replica_restarts",
            "Replicas that died or did not load, by the type of the failure.",
            ["function", "cause"],
            registry,
        )
        self._replicas = Gauge("millrace_replicas", "Replicas by state.", ["function", "state"], registry=registry)
        self._requests = Count(
            "millrace_http_requests", "Requests by route and status.", ["method", "route", "status"], registry
        )
        self._request_seconds = Spread(
            "millrace_http_request_seconds", "Requests.", ["method", "route"], _SECONDS, registry
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
        if not self._is_traced():
            return nullcontext(trace.INVALID_SPAN)
        return self._tracer.start_as_current_span(name, attributes=attributes)

    def opened(self, names: Iterable[SpanName], attributes: Mapping[str, str | int | float]) -> list[Span]:
        """Spans, each inside the one before, that somebody else ends; none without an SDK."""
        if not self._is_traced():
            return []
        spans: list[Span] = []
        for name in names:
            around = trace.set_span_in_context(spans[-1]) if spans else None
            spans.append(self._tracer.start_span(name, around, attributes=attributes))
        return spans

    def _is_traced(self) -> bool:
        """Whether there is an SDK: looked for once a second, as each look reads the environment."""
        if not self._traced and (now_s := monotonic()) >= self._look_at_s:
            self._traced = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
            self._look_at_s = now_s + _LOOK_S
        return self._traced

    def accepted(self, queue: str, count: int) -> None:
        """So many messages of a request were stored durably."""
        self._accepted.add((queue,), count)

    def taken(self, function: str, count: int) -> None:
        """Messages were leased."""
        if count:
            self._taken.add((function,), count)

    def filtered(self, function: str, count: int) -> None:
        """Messages were deleted without running, since they match no filter."""
        if count:
            self._filtered.add((function,), count)

    def batch_released(self, function: str, reason: str, size: int) -> None:
        """The batcher let a batch go."""
        self._batches.add((function, reason))
        self._batch_size.observe((function,), size)

    def predicted(self, function: str, size: int, predict_s: float) -> None:
        """A batch of `size` ran without failing as a whole."""
        if size:
            self._predict.observe((function,), predict_s)

    def committed(self, function: str, commit: Commit, lost: int, commit_s: float) -> None:
        """A commit is durable; `lost` of its leases had gone to somebody else."""
        self._commit.observe((function,), commit_s)
        for verdict, count in Tally(outcome.verdict for outcome in commit.outcomes).items():
            self._settled.add((function, verdict), count)
        if lost:
            self._settled.add((function, "fenced"), lost)
        first = commit.outcomes[0].record if commit.outcomes else None
        if first is not None and first.started_at:
            self._queue_wait.observe((function,), max(0.0, first.started_at - first.accepted_at))

    def called(self, function: str, record: Record, predict_s: float | None) -> None:
        """A call that no queue held was answered; `predict_s` is None where it did not run to its end."""
        of = (function,)
        self._calls[function] += 1
        if predict_s is not None:
            self._predict.observe(of, predict_s)
        self._queue_wait.observe(of, max(0.0, record.started_at - record.accepted_at))

    def replica_restarted(self, function: str, cause: str) -> None:
        """A replica died or did not load; `cause` is the failure's type."""
        self._restarts.add((function, cause))

    def replica_moved(self, function: str, before: str, after: str) -> None:
        """A replica changed its state; every replica begins and ends as `stopped`, which is not counted."""
        for state, step in ((before, -1), (after, 1)):
            if state != "stopped":
                self._replicas.labels(function, state).inc(step)

    def queue_messages(self, queue: str, by_state: Mapping[str, int]) -> None:
        """How many messages of a queue are in each state."""
        for state, count in by_state.items():
            self._depth.labels(queue, state).set(count)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered; `route` is the pattern, never the path that was asked for."""
        self._requests.add((method, route, str(status)))
        self._request_seconds.observe((method, route), seconds)

    def _count_calls(self) -> None:
        """Each is a message taken, a batch of one, and a message done: said when somebody asks, not at each."""
        calls, self._calls = self._calls, Tally()
        for function, count in calls.items():
            self._taken.add((function,), count)
            self._batches.add((function, "full"), count)
            self._batch_size.observe((function,), 1, count)
            self._settled.add((function, "done"), count)

    def exposition(self) -> tuple[bytes, str]:
        """Everything in Prometheus's text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
