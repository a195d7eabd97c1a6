"""How soon a broker that went away is asked again; no server, no waiting."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.needs import needs_module

needs_module("pika")

from millrace.broker_address import parse_address  # noqa: E402
from millrace.brokers.rabbitmq.faults import Closed, Lost, unreachable  # noqa: E402
from millrace.brokers.rabbitmq.link import Link  # noqa: E402
from millrace.errors import BrokerDenied  # noqa: E402

TRIES = 20


class Away(Link):
    """A link whose broker answers each try but the last in the same way."""

    def __init__(self, error: Exception) -> None:
        super().__init__(parse_address("amqp://host", {"amqp": 5672}), "taking", 15)
        self._error = error
        self._tries = 0

    async def _connect(self) -> Any:
        self._tries += 1
        if self._tries < TRIES:
            raise self._error
        return self


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, each time."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def no_sleep(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    return waited


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("nobody listens"),
        Lost("the connection was cut"),
        TimeoutError(),
        Closed(530, "NOT_ALLOWED - vhost '/' is down"),
        BrokerDenied("certificates cannot be read", "they are being exchanged"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_broker_that_restarts_is_asked_every_second_at_least(error: Exception, pauses: list[float]) -> None:
    link = Away(error)
    assert await link.connection() is link
    assert len(pauses) == TRIES - 1
    assert max(pauses) <= 1.0
    assert max(pauses[:2]) <= 0.2, "expected to begin with short pauses"
    assert link.fault, "expected the reason to be known while it is away"


async def test_a_broker_that_denies_us_is_asked_every_ten(pauses: list[float]) -> None:
    await Away(Closed(403, "ACCESS_REFUSED - Login was refused")).connection()
    assert len(pauses) == TRIES - 1
    assert min(pauses[-5:]) >= 5.0
    assert max(pauses) <= 10.0


def test_a_server_that_says_nothing_is_told_in_words() -> None:
    found = unreachable(parse_address("amqp://host", {"amqp": 5672}), TimeoutError())
    assert found.problem == "broker amqp://host:5672 cannot be reached: no answer in time"
    assert (
        "cannot be reached: CancelledError"
        in unreachable(parse_address("amqp://host", {"amqp": 5672}), asyncio.CancelledError()).problem
    )
