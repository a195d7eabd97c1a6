"""A URL that leads to another service: the error says so, soon, and nothing is printed beside it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from millrace.app.brokers import open_broker
from millrace.clock import SystemClock
from millrace.errors import BrokerError
from tests.services import VARIABLES, service

PATIENCE_S = 60.0


def places(but: str) -> list[str]:
    """`host:port` of every server but one."""
    return [urlsplit(service(name)).netloc.rpartition("@")[2] for name in VARIABLES if name != but]


async def refusal(url: str) -> BrokerError:
    with pytest.raises(BrokerError) as refused:
        async with asyncio.timeout(PATIENCE_S):
            await open_broker(url, clock=SystemClock())
    return refused.value


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_what_is_no_nats(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    found = places("nats")
    for place, error in zip(
        found, await asyncio.gather(*(refusal(f"{scheme}://{each}") for each in found)), strict=True
    ):
        assert error.problem.startswith(f"{scheme}://{place}: what answers at {place} does not speak NATS")
        assert "4222" in error.hint
    assert caplog.messages == []


async def test_a_nats_without_encryption() -> None:
    error = await refusal(f"tls://{urlsplit(service('nats')).netloc}")
    assert error.problem.endswith("the server takes no encrypted connections")
