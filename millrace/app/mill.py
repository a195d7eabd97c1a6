"""A project's functions as a Worker: for each function its replicas, and a pipeline for each way into it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from millrace.app.backend import Backend, Calls, durable_queues
from millrace.app.inside import Inside, unhurried
from millrace.app.ways import Way, Ways, call_way
from millrace.app.webhook import Webhooks
from millrace.app.witness import Witness
from millrace.broker import Broker
from millrace.clock import Clock
from millrace.config.schema import FunctionConfig, Project
from millrace.flow.batcher import Batcher
from millrace.flow.commit import Committer
from millrace.flow.dispatcher import Dispatcher
from millrace.flow.outcomes import Decider
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
        self._ways = Ways(self._project, durable_queues(project), clock)

    def worker(self, functions: Collection[str] | None = None, *, shared: bool = False) -> Worker:
        """The worker that runs these functions, None: all; `shared` if it answers calls of other processes too."""
        chosen = {
            name: function
            for name, function in self._project.functions.items()
            if functions is None or name in functions
        }
        replicas = {name: self._replicas(name, function) for name, function in chosen.items() if function.replicas}
        pipelines = [pipeline for name, found in replicas.items() for pipeline in self._pipelines(name, found)]
        if shared:  # which others take over when this worker drains
            pipelines += self._calls(self._backend.calls_elsewhere, replicas, shared=True)
        calls = list(self._calls(self._backend.calls, replicas, shared=False))
        called = self._backend.calls.queues.keys() & replicas.keys()
        dispatchers = {name: self._dispatcher(name, replicas[name]) for name in called}
        return Worker(replicas, pipelines, calls=calls, dispatchers=dispatchers, clock=self._clock)

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
        region = environment_of(self._project, name, self._endpoint).get("AWS_REGION")
        for way in self._ways.of(name, region):
            yield self._pipeline(name, way, replicas, broker, committer, self._sinks(name))

    def _calls(self, calls: Calls, replicas: Mapping[str, ReplicaSet], *, shared: bool) -> Iterator[Pipeline]:
        committer = self._committer(calls.broker, calls.results)
        for name in calls.queues.keys() & replicas.keys():
            way = call_way(self._project.functions[name], calls.queues[name], shared=shared)
            yield self._pipeline(name, way, replicas[name], calls.broker, committer, Sinks(name, [], {}))

    def _dispatcher(self, name: str, replicas: ReplicaSet) -> Dispatcher:
        way = call_way(self._project.functions[name], self._backend.calls.queues[name], shared=False)
        return Dispatcher(
            name,
            way.queue.name,
            replicas=replicas,
            decider=Decider(name, way.rules, Sinks(name, [], {}), self._clock),
            mapping=way.mapping,
            clock=self._clock,
            telemetry=self._telemetry,
            on_line=self._witness.writer(name),
        )

    def _pipeline(
        self, name: str, way: Way, replicas: ReplicaSet, broker: Broker, committer: Committer, sinks: Sinks
    ) -> Pipeline:
        timing = Timing()
        return Pipeline(
            name,
            way.queue,
            broker=broker,
            replicas=replicas,
            batcher=Batcher(way.policy, timing),
            timing=timing,
            decider=Decider(name, way.rules, sinks, self._clock, destinations=way.destinations),
            committer=committer,
            clock=self._clock,
            telemetry=self._telemetry,
            on_line=self._witness.writer(name),
            mapping=way.mapping,
        )

    def _committer(self, broker: Broker, results: Results) -> Committer:
        return Committer(broker, self._backend.tables, self._backend.buckets, results, self._webhooks.post)

    def _sinks(self, name: str) -> Sinks:
        keys = {table: [config.key, *filter(None, [config.sort])] for table, config in self._project.tables.items()}
        return Sinks(name, self._project.functions[name].to, keys)
