"""The AWS endpoint of a project: its services, its server, and what leads an SDK to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from millrace.app.backend import Backend, durable_queues
from millrace.app.event_sources import event_sources
from millrace.app.invoker import ProjectInvoker
from millrace.app.tails import Tails
from millrace.aws.endpoint import beacon
from millrace.aws.endpoint.app import Endpoint, Service
from millrace.aws.endpoint.beacon import Beacon
from millrace.aws.endpoint.functions import Functions
from millrace.aws.endpoint.guard import Guard
from millrace.aws.environment import endpoint_variables
from millrace.aws.moto import Services
from millrace.aws.sqs import SqsService
from millrace.aws.sqs.registry import TABLE_KEY
from millrace.clock import Clock
from millrace.config.aws import AwsConfig
from millrace.config.endpoint import check_endpoint
from millrace.config.schema import Project
from millrace.errors import MillraceError
from millrace.flow.replicas import ReplicaSet
from millrace.loopback import is_loopback
from millrace.sources.http import Server

_NOTES_KEY = "id"
# Where one who listens on every address is reached from this machine.
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


def check_keys(aws: AwsConfig | None) -> None:
    """Raise MillraceError when the endpoint would be reachable from elsewhere without keys worth the name."""
    for finding in check_endpoint(aws):
        raise MillraceError(f"Refused to serve: {finding.what}.", f"Expected {finding.expected}.")


def endpoint_elsewhere(project: Project) -> dict[str, str] | None:
    """What leads to the endpoint of another process of this project: the one that runs, or where it would be."""
    if (aws := project.aws) is None:
        return None
    url = beacon.find(project.state) or (_url(aws.host, aws.port) if aws.port else None)
    return None if url is None else endpoint_variables(url, aws.keys)


def start_line(url: str, aws: AwsConfig) -> str:
    """Where the endpoint is, who else reaches it, and what of it lasts."""
    where = f"AWS endpoint on {url} (account {aws.account}, region {aws.region})"
    if not is_loopback(aws.host):
        where += f", listening on {aws.host or 'every address'} for requests signed with a key of the project"
    if not Services.installed():
        return f"{where}: SQS and Lambda's Invoke; the other services need pip install 'millrace[aws]'"
    return f"{where}: SQS, S3 and DynamoDB survive a restart; the rest is in memory"


class AwsEndpoint:
    """One for a process; `replicas` are those of this process, also those that come later."""

    def __init__(
        self,
        project: Project,
        backend: Backend,
        tails: Tails,
        replicas: Mapping[str, ReplicaSet],
        clock: Clock,
    ) -> None:
        if project.aws is None:
            raise ValueError("a project without aws: has no endpoint")
        self._project = project
        self._aws = project.aws
        self._backend = backend
        self._invoker = ProjectInvoker(project, backend, tails, replicas, clock)
        self._clock = clock
        self._url = ""
        self._closing = contextlib.AsyncExitStack()

    async def start(self, sockets: list[socket.socket] | None = None) -> dict[str, str]:
        """Listen where the project says, or on `sockets`; the variables that lead the SDKs of its functions here.

        Raises InUse, ConfigError, MillraceError, StorageError.
        """
        word = beacon.new_word()
        server = Server(await self._application(word), options="aws")
        self._closing.push_async_callback(server.close)
        if sockets is None:
            self._url = _url(self._aws.host, await server.start(self._aws.host, self._aws.port))
            self._light(Beacon(self._url, word))
        else:
            await server.serve(sockets)
            self._url = _url(*sockets[0].getsockname()[:2])
        return endpoint_variables(self._url, self._aws.keys)

    @property
    def line(self) -> str:
        """What a person should know at the start."""
        return start_line(self._url, self._aws)

    async def close(self) -> None:
        """Stop answering: after the functions, which need it until they are done."""
        await self._closing.aclose()

    async def _application(self, word: str) -> Endpoint:
        aws = self._aws
        sqs, others = await self._sqs(), await self._others()
        sources = list(event_sources(self._project))
        functions = Functions(self._invoker, account=aws.account, region=aws.region, sources=sources)
        guard = Guard(None if is_loopback(aws.host) else aws.keys, self._clock)
        services: dict[str, Service] = {"sqs": sqs, "lambda": functions}
        health: dict[str, Any] = {
            "project": self._project.service,
            "account": aws.account,
            "region": aws.region,
            "services": [*services, *(["moto"] if others else [])],
            "survives": Services.survives,
            "word": word,
        }
        return Endpoint(services, others, guard=guard, account=aws.account, region=aws.region, health=health)

    async def _sqs(self) -> SqsService:
        table = await self._backend.own_table("sqs", TABLE_KEY)
        service = SqsService(
            self._backend.broker, table, account=self._aws.account, region=self._aws.region, clock=self._clock
        )
        queues = self._project.queues
        every = durable_queues(self._project)
        declared = [every[name] for name in queues]
        await service.start(declared, {name: queue.attributes for name, queue in queues.items()})
        self._closing.push_async_callback(service.close)
        return service

    async def _others(self) -> Services | None:
        """Whatever is not ours; moto is imported at its first call, or now where the project declares something."""
        if not Services.installed():
            return None
        backend = self._backend
        services = Services(
            self._project,
            tables=backend.tables,
            buckets=backend.buckets,
            notes=await backend.own_table("s3", _NOTES_KEY),
            made=await backend.own_table("made", _NOTES_KEY),
            places=backend,
            put=backend.broker.put,
        )
        self._closing.push_async_callback(services.close)
        if self._project.topics or self._project.buckets or self._project.tables or self._aws.resources:
            loading = asyncio.create_task(services.load())
            loading.add_done_callback(_told_at_the_first_call)
        return services

    def _light(self, mine: Beacon) -> None:
        folder = self._project.state
        beacon.light(folder, mine)
        self._closing.callback(beacon.extinguish, folder, mine)


def _told_at_the_first_call(loading: asyncio.Task[None]) -> None:
    """What could not be loaded is tried again by the first call, which is answered with why."""
    if not loading.cancelled():
        loading.exception()


def _url(host: str, port: int) -> str:
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
