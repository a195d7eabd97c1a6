"""From a broker's URL to its adapter, which is imported only now, so that extras stay optional."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable

from millrace.broker import Broker
from millrace.clock import Clock
from millrace.errors import ConfigError
from millrace.known_brokers import known_broker, scheme_of, schemes, url_meant

_Open = Callable[..., Awaitable[Broker]]


async def open_broker(url: str, *, clock: Clock) -> Broker:
    """Connect to a broker. Raises ConfigError for one that is not known or whose library is missing, BrokerError."""
    known = known_broker(url)
    if known is None:
        got = f"{scheme_of(url)}://" if scheme_of(url) else "a text without a scheme"
        meant = url_meant(url)
        guess = f"; did you mean '{meant}'?" if meant else ""
        raise ConfigError(
            f"broker: {got} is no broker that millrace knows",
            f"expected one of {', '.join(f'{each}://' for each in schemes())}{guess}",
        )
    try:
        module = importlib.import_module(f"millrace.brokers.{known.name}")
    except ModuleNotFoundError as error:
        if error.name != known.package.partition(".")[0]:
            raise
        raise ConfigError(f"broker: {known.title} needs the package {known.package}", known.install) from None
    connect: _Open = module.open_broker
    return await connect(url, clock=clock)
