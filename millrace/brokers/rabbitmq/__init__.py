"""Queues on RabbitMQ: `broker: amqp://USER:PASSWORD@HOST/VHOST`."""

from __future__ import annotations

from millrace.broker import Broker
from millrace.brokers.address import parse_address
from millrace.clock import Clock
from millrace.errors import BrokerError

PORTS = {"amqp": 5672, "amqps": 5671}
OPTIONS = ("heartbeat",)


async def open_broker(url: str, *, clock: Clock | None = None) -> Broker:
    """Connect to a RabbitMQ. Raises BrokerError that says what is wrong with the URL, the server or the credentials."""
    address = parse_address(url, PORTS, OPTIONS)
    heartbeat = address.options.get("heartbeat", "15")
    if not (heartbeat.isdigit() and 1 <= int(heartbeat) <= 3600):
        raise BrokerError(f"heartbeat={heartbeat} in the broker's URL", "expected whole seconds, 1 to 3600")
    try:
        from millrace.brokers.rabbitmq.broker import RabbitBroker
    except ModuleNotFoundError as error:
        if error.name != "pika":
            raise
        raise BrokerError(
            f"the package pika is missing, by which millrace speaks with {address}", "pip install 'millrace[rabbitmq]'"
        ) from error
    broker = RabbitBroker(address, clock)
    await broker.connect()
    return broker
