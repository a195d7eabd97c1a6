"""RabbitMQ over TLS: encrypted and verified, who may not be trusted, and credentials from URL and environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.broker import Queue
from millrace.brokers.rabbitmq import open_broker
from millrace.errors import BrokerDenied, BrokerError
from millrace.types import Commit, Message, Outcome, Put
from tests.certificates import certificate
from tests.needs import needs_module
from tests.services import service
from tests.services.ports import free_port
from tests.services.rabbitmq import Rabbitmq

needs_module("pika")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rabbitmq-tls")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Of a server that speaks TLS, and wants no certificate of ours."""
    service("rabbitmq")
    chain, key = certificate(folder)
    port = free_port()
    settings = {
        "listeners.ssl.1": f"127.0.0.1:{port}",
        "listeners.ssl.2": f"127.0.0.2:{port}",  # for which its certificate is not made
        "ssl_options.cacertfile": str(chain),
        "ssl_options.certfile": str(chain),
        "ssl_options.keyfile": str(key),
        "ssl_options.verify": "verify_none",
    }
    with Rabbitmq(settings) as server:
        server.start(folder)
        yield port


async def test_messages_travel_encrypted(folder: Path, port: int) -> None:
    url = f"amqps://guest:guest@localhost:{port}/?cafile={folder / 'certificate.pem'}"
    broker = await open_broker(url)
    try:
        await broker.declare([Queue("work")])
        body = os.urandom(300_000)  # more than one TLS record, more than one frame
        await broker.put([Put("work", Message("a", body))])
        (lease,) = await broker.take("work", 1)
        assert lease.message.body == body
        assert await broker.settle(Commit("work", [Outcome(lease, "done")])) == []
    finally:
        await broker.close()


async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, port: int) -> None:
    other, _ = certificate(tmp_path)
    for option in (f"?cafile={other}", ""):
        with pytest.raises(BrokerDenied, match="cannot be trusted") as caught:
            await open_broker(f"amqps://guest:guest@localhost:{port}/{option}")
        assert "?cafile=" in caught.value.hint
        assert "guest" not in str(caught.value)


async def test_a_certificate_for_another_host_is_refused(folder: Path, port: int) -> None:
    with pytest.raises(BrokerDenied, match="cannot be trusted") as caught:
        await open_broker(f"amqps://guest:guest@127.0.0.2:{port}/?cafile={folder / 'certificate.pem'}")
    assert "127.0.0.2" in str(caught.value)


async def test_a_cafile_that_is_not_there_is_named(tmp_path: Path, port: int) -> None:
    with pytest.raises(BrokerDenied, match=r"certificates cannot be read from .*none\.pem"):
        await open_broker(f"amqps://guest:guest@localhost:{port}/?cafile={tmp_path / 'none.pem'}")


async def test_an_encrypted_port_is_not_spoken_to_in_plain(port: int) -> None:
    with pytest.raises(BrokerError, match="cannot be reached") as caught:
        await open_broker(f"amqp://guest:guest@localhost:{port}/")
    assert "5671 with amqps://" in caught.value.hint


async def test_credentials_come_from_the_environment(folder: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = f"amqps://localhost:{port}/?cafile={folder / 'certificate.pem'}"
    monkeypatch.setenv("MILLRACE_BROKER_USER", "guest")
    monkeypatch.setenv("MILLRACE_BROKER_PASSWORD", "not-the-secret")
    with pytest.raises(BrokerDenied, match="refused the user or its password") as caught:
        await open_broker(bare)
    assert "MILLRACE_BROKER_PASSWORD" in caught.value.hint
    assert "not-the-secret" not in str(caught.value)
    monkeypatch.setenv("MILLRACE_BROKER_PASSWORD", "guest")
    await (await open_broker(bare)).close()
