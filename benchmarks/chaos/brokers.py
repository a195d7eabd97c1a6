"""The brokers that the fleet is put on: a server of its own behind a proxy, with the settings that the table names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from benchmarks.chaos.endpoint import Endpoint
from benchmarks.chaos.faults import Grip
from benchmarks.chaos.grips import RabbitmqMemory, RedisMemory
from tests.services.nats import Nats
from tests.services.proxy import Proxy, proxied
from tests.services.rabbitmq import Rabbitmq
from tests.services.redis import Redis
from tests.services.server import HOST, Server


class Kind(msgspec.Struct, frozen=True):
    """One kind of broker: how it is started, what can be gripped of it, and its settings in words."""

    server: Callable[[], Server]
    grip: Callable[[Server], Grip] | None
    settings: str


def _rabbitmq_grip(server: Server) -> Grip:
    assert isinstance(server, Rabbitmq)
    return RabbitmqMemory(server)


def _redis_grip(server: Server) -> Grip:
    assert isinstance(server, Redis)
    return RedisMemory(server)


KINDS = {
    "rabbitmq": Kind(Rabbitmq, _rabbitmq_grip, "quorum queues on one node, publisher confirms"),
    "redis": Kind(lambda: Redis({"appendfsync": "always"}), _redis_grip, "appendonly yes, appendfsync always"),
    "nats": Kind(Nats, None, "file storage on one server, synced every two minutes"),
    "sqs": Kind(Endpoint, None, "standard queues of millrace's own endpoint, one SQLite file"),
}


@contextmanager
def running(kind: Kind) -> Iterator[tuple[Server, Proxy, str]]:
    """A server, the proxy before it, and the URL that leads through the proxy."""
    with kind.server() as server:
        url = server.start()
        with proxied(HOST, server.port) as proxy:
            yield server, proxy, url.replace(f"{HOST}:{server.port}", f"{HOST}:{proxy.port}")
