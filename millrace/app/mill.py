"""A project's functions as a Worker: for each function its replicas, and a pipeline for each of its queues."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from millrace.app.backend import Backend, call_queues, durable_queues
from millrace.app.inside import Inside, unhurried
from millrace.app.webhook import Webhooks
from millrace.app.witness import Witness
from millrace.broker import Broker, Queue
from millrace.clock import Clock
from millrace.config.schema import FunctionConfig, Project
from millrace.flow.batcher import Batcher, Policy
from millrace.flow.commit import Committer
from millrace.flow.outcomes import Decider, Rules
from millrace.flow.pipeline import Pipeline
from millrace.flow.process import Process
from millrace.flow.replicas import ReplicaSet
from millrace.flow.sinks import Sinks
from millrace.flow.spec import environment_of, spec_of
from millrace.flow.timing import Timing
from millrace.flow.worker import Worker
from millrace.store import Results
from millrace.telemetry import Telemetry


class Mill:
    """Builds the worker of a project; `endpoint` are the variables that lead its replicas to the AWS endpoint."""

    def __init__(
        self,
        project: Project,
        backend: Backend,
        webhooks: Webhooks,
        witness: Witness,
        telemetry: Telemetry,
        clock: Clock,
        endpoint: Mapping[str, str] | None = None,
        *,
        debug: str | None = None,
    ) -> None:
        """`debug` names the function that runs inside this process."""
        self._project = project if debug is None else unhurried(project, debug)
        self._debug = debug
        self._endpoint = endpoint
        self._backend = backend
        self._webhooks = webhooks
        self._witness = witness
        self._telemetry = telemetry
        self._clock = clock
        self._durable = durable_queues(project)
        self._calls = call_queues(project)

    def worker(self, functions: Collection[str] | None = None) -> Worker:
        """The worker that runs these functions, None: all."""
        chosen = {
            name: function
            for name, function in self._project.functions.items()
            if functions is None or name in functions
        }
        replicas = {name: self._replicas(name, function) for name, function in chosen.items() if function.replicas}
        pipelines = [pipeline for name, found in replicas.items() for pipeline in self._pipelines(name, found)]
        calls = [self._call(name, found) for name, found in replicas.items() if name in self._calls]
        return Worker(replicas, pipelines, calls=calls, clock=self._clock)

    def _replicas(self, name: str, function: FunctionConfig) -> ReplicaSet:
        return ReplicaSet(
            spec_of(self._project, name),
            count=function.replicas,
            environment=environment_of(self._project, name, self._endpoint),
            clock=self._clock,
            load_timeout_s=function.load_timeout,
            on_line=self._witness.writer(name),
            telemetry=self._telemetry,
            spawn=Inside if name == self._debug else Process,
        )

    def _pipelines(self, name: str, replicas: ReplicaSet) -> Iterator[Pipeline]:
        broker, committer = self._backend.broker, self._committer(self._backend.broker, self._backend.results)
        for queue in self._project.queues_of(name):
            yield self._pipeline(name, self._durable[queue], replicas, broker, committer, self._sinks(name))

    def _call(self, name: str, replicas: ReplicaSet) -> Pipeline:
        broker, committer = self._backend.memory, self._committer(self._backend.memory, self._backend.memory_results)
        return self._pipeline(name, self._calls[name], replicas, broker, committer, None)

    def _pipeline(
        self, name: str, queue: Queue, replicas: ReplicaSet, broker: Broker, committer: Committer, sinks: Sinks | None
    ) -> Pipeline:
        """`sinks` None: a synchronous call, whose answer goes to the caller alone."""
        function = self._project.functions[name]
        rules = _rules(function, queue, call=sinks is None)
        timing = Timing()
        return Pipeline(
            name,
            queue,
            broker=broker,
            replicas=replicas,
            batcher=Batcher(_policy(function, call=sinks is None), timing),
            timing=timing,
            decider=Decider(name, rules, sinks or Sinks(name, [], {}), self._clock),
            committer=committer,
            clock=self._clock,
            telemetry=self._telemetry,
            on_line=self._witness.writer(name),
        )

    def _committer(self, broker: Broker, results: Results) -> Committer:
        return Committer(broker, self._backend.tables, self._backend.buckets, results, self._webhooks.post)

    def _sinks(self, name: str) -> Sinks:
        keys = {table: config.key for table, config in self._project.tables.items()}
        return Sinks(name, self._project.functions[name].to, keys)


def _policy(function: FunctionConfig, *, call: bool) -> Policy:
    if call:  # somebody waits for it, and for no company
        return Policy(size=1, wait_s=0.0, max_bytes=function.batch.bytes, timeout_s=function.timeout)
    batch = function.batch
    return Policy(size=batch.size, wait_s=batch.wait, max_bytes=batch.bytes, timeout_s=function.timeout)


def _rules(function: FunctionConfig, queue: Queue, *, call: bool) -> Rules:
    return Rules(
        max_receives=queue.max_receives,
        call=call,
        base_s=function.retry.base,
        max_s=function.retry.max,
        retry_on=tuple(function.retry_on),
        dead_on=tuple(function.dead_on),
    )
