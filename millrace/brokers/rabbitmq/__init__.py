"""Queues on RabbitMQ: `broker: amqp://USER:PASSWORD@HOST/VHOST`."""

from __future__ import annotations

from millrace.broker import Broker
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.known_brokers import RABBITMQ


async def open_broker(url: str, *, clock: Clock | None = None) -> Broker:
    """Connect to a RabbitMQ. Raises BrokerError that says what is wrong with the URL, the server or the credentials."""
    address = RABBITMQ.address(url)
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
