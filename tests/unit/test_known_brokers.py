"""The brokers that are known are the adapters that there are."""

from __future__ import annotations

import importlib
import sys

import pytest
from needs import needs

from millrace import known_brokers
from millrace.app.brokers import open_broker
from millrace.clock import SystemClock
from millrace.errors import BrokerError, ConfigError
from millrace.known_brokers import KNOWN_BROKERS, KnownBroker, url_meant


@pytest.mark.parametrize(
    ("scheme", "known"), [(scheme, known) for known in KNOWN_BROKERS for scheme in known.schemes], ids=str
)
async def test_every_scheme_is_its_adapters(scheme: str, known: KnownBroker) -> None:
    needs(known.install, known.is_installed)
    with pytest.raises(BrokerError, match="nobody_knows_this"):  # of the URL's options, which the adapter reads
        await open_broker(f"{scheme}://127.0.0.1:9/?nobody_knows_this=1", clock=SystemClock())


async def test_a_missing_library_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KNOWN_BROKERS[0]
    real = importlib.import_module

    def missing(name: str) -> object:
        if name.endswith(known.name):
            raise ModuleNotFoundError("no", name=known.package)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ConfigError, match="needs the package") as refused:
        await open_broker(f"{known.schemes[0]}://me:secret@host", clock=SystemClock())
    assert known.install in refused.value.hint


async def test_a_fault_inside_an_adapter_is_not_taken_for_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    able = KnownBroker("no_such_adapter", "Able", {"able": 1}, "json", "able", KNOWN_BROKERS[0].claims)
    monkeypatch.setattr(known_brokers, "KNOWN_BROKERS", (able,))
    assert "json" in sys.modules
    with pytest.raises(ModuleNotFoundError, match="no_such_adapter"):
        await open_broker("able://", clock=SystemClock())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:5672", "amqp://127.0.0.1:5672"),
        ("rabbit:5671/shop", "amqps://rabbit:5671/shop"),
        (" localhost:6379 ", "redis://localhost:6379"),
        ("//[::1]:4222", "nats://[::1]:4222"),
        ("k-1,k-2:9092", "kafka://k-1,k-2:9092"),
        ("k:9093", "kafkas://k:9093"),
        ("sqs.eu-west-1.amazonaws.com:443", ""),
        ("localhost:8080", ""),
        ("localhost", ""),
        ("me:se@cret@rabbit:5672", "amqp://USER:PASSWORD@HOST:5672"),
        ("ampq://me:secret@rabbit:5672", ""),
        ("ampq://rabbit:5672", ""),
        ("rabbit:5672/?password=secret", ""),
        ("rabbit:5672\nsecret", ""),
        ("", ""),
    ],
)
def test_an_address_without_a_scheme_means_whose_usual_port_it_is(text: str, meant: str) -> None:
    assert url_meant(text) == meant


async def test_a_scheme_that_is_missing_is_told_by_the_port() -> None:
    with pytest.raises(ConfigError, match="a text without a scheme") as refused:
        await open_broker("127.0.0.1:5672", clock=SystemClock())
    assert refused.value.hint.endswith("; did you mean 'amqp://127.0.0.1:5672'?")


async def test_an_unknown_broker_is_refused_without_its_password() -> None:
    for url in ("ampq://me:secret@host", "me:secret@host"):
        with pytest.raises(ConfigError, match="no broker that millrace knows") as refused:
            await open_broker(url, clock=SystemClock())
        assert "secret" not in str(refused.value)
        assert "amqp://" in refused.value.hint
