"""From a URL to a broker that is connected."""

from __future__ import annotations

import re

from millrace.broker_address import Address
from millrace.brokers.redis.advice import warn
from millrace.brokers.redis.broker import RedisBroker
from millrace.brokers.redis.link import Link
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError
from millrace.known_brokers import REDIS
from millrace.signals import Signals

_MAJOR = 7
_MOST_REPLICAS = 100


async def open_broker(url: str, *, clock: Clock | None = None) -> RedisBroker:
    """Connect to Redis or Valkey; `?wait_replicas=N` has each put wait for N replicas. Raises BrokerError."""
    address = REDIS.address(url)
    if not re.fullmatch(r"\d{0,4}", address.path or ""):
        raise BrokerError(f"redis {address}: the database is {address.path!r}", "expected a number, such as /0")
    replicas = address.number("wait_replicas", 0, least=0, most=_MOST_REPLICAS)
    clock = clock or SystemClock()
    signals = Signals(clock)
    broker = RedisBroker(_link(address, signals), clock, signals, puts=_link(address, signals) if replicas else None)
    broker.replicas = replicas
    try:
        await broker.open()
        _check_version(address, broker.facts)
    except BaseException:
        await broker.close()
        raise
    await warn(broker.link)
    return broker


def _link(address: Address, signals: Signals) -> Link:
    return Link(address, lambda channel: signals.wake(None if channel is None else [channel]))


def _check_version(address: Address, facts: dict[str, str]) -> None:
    version = facts.get("version", "")
    if version.partition(".")[0].isdecimal() and int(version.partition(".")[0]) < _MAJOR:
        raise BrokerError(f"redis {address} is version {version}", f"expected Redis {_MAJOR} or later, or Valkey")
    if facts.get("role", "master") != "master":
        raise BrokerError(f"redis {address} is a replica, which takes no writes", "name the primary in the URL")
