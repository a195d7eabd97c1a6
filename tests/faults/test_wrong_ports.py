"""A URL that leads to another service: the error says so, soon, and nothing is printed beside it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from needs import needs_module

from millrace.app.brokers import open_broker
from millrace.clock import SystemClock
from millrace.errors import BrokerError, StorageError
from tests.services import VARIABLES, service
from tests.services.ports import free_port

PATIENCE_S = 60.0


def at(name: str) -> str:
    """`host:port` of a server."""
    return urlsplit(service(name)).netloc.rpartition("@")[2]


def places(but: str) -> list[str]:
    """`host:port` of every server but one."""
    return [at(name) for name in VARIABLES if name != but]


async def refusal(url: str) -> BrokerError:
    with pytest.raises(BrokerError) as refused:
        async with asyncio.timeout(PATIENCE_S):
            await open_broker(url, clock=SystemClock())
    return refused.value


async def test_what_is_no_redis(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("rabbitmq", "nats"):
        assert f"redis://{at(name)}: what answers there is no Redis: " in (await refusal(f"redis://{at(name)}")).problem
    assert (await refusal(f"redis://{at('postgres')}")).problem.endswith("does not answer: the server closed it")
    assert not (await refusal(f"rediss://{at('postgres')}")).problem.endswith(": ")  # an OSError without words
    assert caplog.messages == []


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
async def test_what_is_no_rabbitmq(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    found = places("rabbitmq")
    for place, error in zip(
        found, await asyncio.gather(*(refusal(f"{scheme}://{each}") for each in found)), strict=True
    ):
        assert error.problem.startswith(f"broker {scheme}://{place} cannot be reached: ")
        assert "is this its AMQP port" in error.hint
    assert caplog.messages == []


async def test_what_is_no_kafka(caplog: pytest.LogCaptureFixture) -> None:
    needs_module("confluent_kafka")
    names = ("rabbitmq", "nats", "postgres", "redis")
    *talkers, silent = await asyncio.gather(*(refusal(f"kafka://{at(name)}") for name in names))
    for name, error in zip(names, talkers, strict=False):
        assert error.problem == f"broker kafka://{at(name)}: what answers at {at(name)} does not speak Kafka"
    assert silent.problem.startswith(f"broker kafka://{at('redis')}")  # Redis waits for the end of a line
    nobody = await refusal(f"kafka://127.0.0.1:{free_port()}")
    assert "Connection refused" in nobody.problem
    assert caplog.messages == []


async def test_what_is_no_sqs(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    needs_module("aiohttp", "botocore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    names = ("rabbitmq", "nats")
    for name, error in zip(
        names,
        await asyncio.gather(*(refusal(f"sqs://eu-west-1/?endpoint=http://{at(name)}") for name in names)),
        strict=True,
    ):
        assert f"what answers at http://{at(name)}/ is no SQS" in error.problem
        assert "\n" not in error.problem
    assert not [each for each in caplog.records if each.levelname != "INFO"]


async def test_what_is_no_postgresql() -> None:
    needs_module("psycopg")
    from millrace.stores.postgres import open_postgres

    for name in ("rabbitmq", "nats"):
        with pytest.raises(StorageError, match="what answers there does not speak PostgreSQL"):
            await open_postgres(f"postgresql://{at(name)}/x", clock=SystemClock())


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
