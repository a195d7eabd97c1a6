"""How many pods a function gets: a KEDA ScaledObject over the depth of its queues, in each broker's own words.

Where adapters keep a queue is told here a second time, since what measures it from outside is not Python; tests hold
the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from millrace.broker_address import PASSWORD_VARIABLE, USER_VARIABLE, place
from millrace.deploy.names import label
from millrace.deploy.plan import Plan, Work
from millrace.deploy.server import Server

Json = dict[str, Any]
API = "keda.sh/v1alpha1"
BROKER_KEY = "MILLRACE_BROKER"
_POLL_S = 15
_NATS_MONITORING_PORT = 8222
_CONSUMER = "millrace"
_SASL = {"SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}


def scaled_object(plan: Plan, work: Work, name: str, labels: Json, pods: tuple[int, int]) -> Json | None:
    """The ScaledObject of a function's Deployment `name`; None where the broker has no scaler."""
    server = plan.server
    if server is None or not has_scaler(server):
        return None
    keys = authentication_keys(server)
    reference = {"authenticationRef": {"name": authentication_name(plan)}} if keys else {}
    triggers = [_TRIGGERS[server.kind.name](server, queue, work.backlog) | reference for queue in work.queues]
    least, most = pods
    return {
        "apiVersion": API,
        "kind": "ScaledObject",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": least,
            "maxReplicaCount": most,
            "pollingInterval": _POLL_S,
            "triggers": triggers,
        },
    }


def trigger_authentication(plan: Plan, secret: str, labels: Json) -> Json | None:
    """What lets KEDA into the broker, from the Secret that the pods have too; None where it needs nothing."""
    keys = authentication_keys(plan.server) if plan.server is not None else {}
    if not keys:
        return None
    return {
        "apiVersion": API,
        "kind": "TriggerAuthentication",
        "metadata": {"name": authentication_name(plan), "labels": labels},
        "spec": {
            "secretTargetRef": [{"parameter": parameter, "name": secret, "key": key} for parameter, key in keys.items()]
        },
    }


def has_scaler(server: Server) -> bool:
    """Whether KEDA is told how to measure the queues of this broker."""
    return server.kind.name in _TRIGGERS


def authentication_name(plan: Plan) -> str:
    """The TriggerAuthentication of the project."""
    return label(plan.service, "broker")


def authentication_keys(server: Server) -> Mapping[str, str]:
    """Parameters of the scaler, and the key of the Secret that each is read from."""
    if server.kind.name == "rabbitmq":
        return {"host": BROKER_KEY}
    if server.kind.name in ("redis", "kafka") and server.has_user:
        return {"username": USER_VARIABLE, "password": PASSWORD_VARIABLE}
    return {}


def _rabbitmq(server: Server, queue: str, backlog: int) -> Json:
    metadata = {
        "protocol": "amqp",
        "mode": "QueueLength",
        "queueName": server.address.prefix + queue,
        "value": str(backlog),
    }
    return {"type": "rabbitmq", "metadata": metadata}


def _nats(server: Server, queue: str, backlog: int) -> Json:
    """The scaler reads the server's monitoring port, which must be open to KEDA."""
    metadata = {
        "natsServerMonitoringEndpoint": place(server.address.host, _NATS_MONITORING_PORT),
        "account": "$G",
        "stream": (server.address.prefix + queue).replace(".", "=2E"),
        "consumer": _CONSUMER,
        "lagThreshold": str(backlog),
    }
    return {"type": "nats-jetstream", "metadata": metadata}


def _redis(server: Server, queue: str, backlog: int) -> Json:
    """A settled message leaves its stream, so that the stream's length is what waits and runs."""
    metadata = {
        "address": server.address.places()[0],
        "stream": redis_stream(server.address.prefix, queue),
        "streamLength": str(backlog),
        "databaseIndex": server.address.path or "0",
    }
    if server.address.tls:
        metadata["enableTLS"] = "true"
    return {"type": "redis-streams", "metadata": metadata}


def redis_stream(prefix: str, queue: str) -> str:
    """The key of the stream in which the adapter keeps a queue."""
    return f"{{{prefix or _CONSUMER}}}:stream:{queue}"


def _kafka(server: Server, queue: str, backlog: int) -> Json:
    """Lag counts from the committed offset, and so what is settled out of order too."""
    metadata = {
        "bootstrapServers": ",".join(server.address.places()),
        "consumerGroup": f"{server.address.prefix}{_CONSUMER}.{queue}",
        "topic": server.address.prefix + queue,
        "lagThreshold": str(backlog),
        "allowIdleConsumers": "true",
    }
    if server.address.tls:
        metadata["tls"] = "enable"
    if server.has_user:
        metadata["sasl"] = _SASL.get(server.address.options.get("sasl", ""), "plaintext")
    return {"type": "kafka", "metadata": metadata}


_TRIGGERS: dict[str, Callable[[Server, str, int], Json]] = {
    "rabbitmq": _rabbitmq,
    "nats": _nats,
    "redis": _redis,
    "kafka": _kafka,
}
