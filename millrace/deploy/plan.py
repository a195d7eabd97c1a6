"""What of a project runs where: the gateway, and a worker for each function."""

from __future__ import annotations

import math
import re

import msgspec

from millrace.config.schema import FunctionConfig, Project
from millrace.deploy.server import Server, server_of
from millrace.errors import ConfigError
from millrace.known_brokers import EMBEDDED

HEALTH_PORT = 8401
_PORT = 8400
_WORDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,79}")
_PARENT_BYTES = 256 << 20  # of the process that leases, batches and commits
_AFTER_DRAIN_S = 15  # to start the end and to write the last lines
_WAITING_BATCHES = 2  # for each replica, beyond which another pod is worth its start


class Work(msgspec.Struct, frozen=True):
    """A function's worker: `memory_bytes` of all its processes, None where the project sets no limit."""

    function: str
    queues: tuple[str, ...]
    replicas: int
    memory_bytes: int | None
    backlog: int  # messages for each pod above which there should be more pods

    @property
    def arguments(self) -> list[str]:
        """What `millrace` is called with."""
        return ["worker", "--function", self.function]


class Plan(msgspec.Struct, frozen=True):
    """A project's processes, and how long each may take to end."""

    service: str
    stage: str
    port: int
    drain_s: float
    works: tuple[Work, ...]
    server: Server | None
    has_database: bool
    extras: tuple[str, ...]

    @property
    def grace_s(self) -> int:
        """Whole seconds that a process gets between SIGTERM and SIGKILL: more than it takes to drain."""
        return math.ceil(self.drain_s) + _AFTER_DRAIN_S


def plan_of(project: Project) -> Plan:
    """Read a project: functions with `replicas: 0` have no worker.

    Raises ConfigError for names that would mean something else in a unit, a label or a container file.
    """
    for key, value in (("service", project.service), ("stage", project.stage)):
        if not _WORDS.fullmatch(value):
            raise ConfigError(
                f"{key}: {value[:80]!r} cannot stand in a manifest", "expected letters, digits and ' _.-'"
            )
    server = server_of(project.broker)
    return Plan(
        service=project.service,
        stage=project.stage,
        port=project.gateway.port or _PORT,
        drain_s=project.drain,
        works=tuple(_work(project, name, each) for name, each in project.functions.items() if each.replicas),
        server=server,
        has_database=project.database not in (None, EMBEDDED),
        extras=tuple(sorted(_extras(project, server))),
    )


def _work(project: Project, name: str, function: FunctionConfig) -> Work:
    memory = None if function.memory is None else function.replicas * function.memory + _PARENT_BYTES
    backlog = _WAITING_BATCHES * function.replicas * function.batch.size
    return Work(name, tuple(project.queues_of(name)), function.replicas, memory, backlog)


def _extras(project: Project, server: Server | None) -> set[str]:
    """What `pip install 'millrace[...]'` must name for this project."""
    found = {server.kind.extra} if server is not None else set()
    if project.database not in (None, EMBEDDED):
        found.add("postgres")
    if project.aws is not None:
        found.add("aws")
    if any(queue.codec is not None and queue.codec.format == "protobuf" for queue in project.queues.values()):
        found.add("protobuf")
    return found
