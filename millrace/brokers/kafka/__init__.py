"""Kafka: a topic and a consumer group for each queue; each message's own end beside the group's committed offset.

    open_broker("kafka://user:password@host:9092/?prefix=shop.&partitions=12&replicas=3")

Reading order: progress (what is committed), shelf (what this process holds), member (its place in the group), reader
and commits (what it hears from the broker and says to it), taking and settling (the flow's verbs), registry (which
queues there are).
"""

from __future__ import annotations

from millrace.brokers.kafka.admin import Admin
from millrace.brokers.kafka.broker import KafkaBroker
from millrace.brokers.kafka.client import Health, settings_of
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError
from millrace.known_brokers import KAFKA

__all__ = ["KafkaBroker", "open_broker"]

_SASL = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PARTITIONS = 8


async def open_broker(url: str, *, clock: Clock | None = None) -> KafkaBroker:
    """Connect to a Kafka cluster; `kafkas://` encrypts.

    Options, for topics that are made now: `partitions` (8), `replicas` (the cluster's own); `sasl` is the mechanism
    for user and password (PLAIN). Raises BrokerError.
    """
    address = KAFKA.address(url)
    partitions = address.number("partitions", _PARTITIONS, most=1000)
    replicas = address.number("replicas", -1, most=9)
    if address.options.get("sasl", "PLAIN") not in _SASL:
        raise BrokerError(f"{address}: sasl={address.options['sasl']!r}", f"expected one of {', '.join(_SASL)}")
    address.tls_context()  # tells of files that cannot be read
    health = Health(address)
    settings = settings_of(address, health)
    admin = Admin(settings, health, partitions=partitions, replicas=replicas)
    await admin.metadata()
    broker = KafkaBroker(settings, health, admin, address.prefix, clock or SystemClock())
    try:
        await broker.open()
    except BaseException:
        await broker.close()
        raise
    return broker
