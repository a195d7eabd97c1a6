"""NATS JetStream: a work-queue stream and a durable pull consumer for each queue, spoken to over NATS's own protocol.

    open_broker("nats://user:password@host:4222/?prefix=shop.&replicas=3")

Reading order: queues (what is made in the server), take and endings (the flow's verbs), fence and notes (whose a
message is), link and wire (the connection).
"""

from __future__ import annotations

from millrace.broker import Broker
from millrace.brokers.nats.broker import NatsBroker
from millrace.brokers.nats.link import Link
from millrace.clock import Clock, SystemClock
from millrace.known_brokers import NATS

_MOST_REPLICAS = 5  # JetStream's own limit
_WINDOW_S = 120  # JetStream's own default


async def open_broker(url: str, *, clock: Clock | None = None) -> Broker:
    """Connect to a NATS server with JetStream; `tls://` encrypts.

    Options: `replicas` of each stream (1), `window` in seconds for which the server knows ids (120), `creds`, the path
    of a credentials file.

    Raises BrokerError.
    """
    address = NATS.address(url)
    replicas = address.number("replicas", 1, most=_MOST_REPLICAS)
    window_s = address.number("window", _WINDOW_S, most=86400)
    link = Link(address)
    await link.connect()
    broker = NatsBroker(link, clock or SystemClock(), replicas=replicas, window_s=window_s)
    try:
        await broker.open()
    except BaseException:
        await link.close()
        raise
    return broker
