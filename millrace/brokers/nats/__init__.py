"""NATS JetStream: a work-queue stream and a durable pull consumer for each queue, spoken to over NATS's own protocol.

    open_broker("nats://user:password@host:4222/?prefix=shop.&replicas=3")

Reading order: queues (what is made in the server), take and endings (the flow's verbs), fence and notes (whose a
message is), link and wire (the connection).
"""

from __future__ import annotations

from millrace.broker import Broker
from millrace.brokers.address import Address, parse_address
from millrace.brokers.nats import credentials
from millrace.brokers.nats.broker import NatsBroker
from millrace.brokers.nats.link import Link
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError

_PORTS = {"nats": 4222, "tls": 4222}
_MOST_REPLICAS = 5  # JetStream's own limit
_WINDOW_S = 120.0  # JetStream's own default


async def open_broker(url: str, *, clock: Clock | None = None) -> Broker:
    """Connect to a NATS server with JetStream; `tls://` encrypts.

    Options: `replicas` of each stream (1), `window` in seconds for which the server knows ids (120), `creds`, the path
    of a credentials file.

    Raises BrokerError.
    """
    address = parse_address(url, _PORTS, ("replicas", "window", credentials.OPTION))
    replicas = _number(address, "replicas", 1, _MOST_REPLICAS)
    window_s = _number(address, "window", _WINDOW_S, 86400.0)
    link = Link(address)
    await link.connect()
    broker = NatsBroker(link, clock or SystemClock(), replicas=int(replicas), window_s=window_s)
    try:
        await broker.open()
    except BaseException:
        await link.close()
        raise
    return broker


def _number(address: Address, name: str, default: float, most: float) -> float:
    """An option of the URL. Raises BrokerError."""
    text = address.options.get(name)
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise BrokerError(f"{address}: {name}={text!r}", f"expected a whole number from 1 to {most:.0f}")
    return float(text)
