"""The brokers that a project may name: their schemes, what they need installed, and what they claim.

Claims are written down here as well as in the adapters, so that `millrace check` tells in a moment and without a
connection what will not work; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import msgspec

from millrace.broker import Capabilities

EMBEDDED = "embedded"  # the name of the queue in .millrace, where a broker is named by its URL


class KnownBroker(msgspec.Struct, frozen=True):
    """One kind of broker: `package` is what its adapter imports, `extra` what installs it, "" where it needs none."""

    name: str
    title: str
    schemes: tuple[str, ...]
    package: str
    extra: str
    claims: Capabilities

    @property
    def is_installed(self) -> bool:
        """Whether the client library is there."""
        return not self.package or find_spec(self.package) is not None

    @property
    def install(self) -> str:
        """The command that installs the client library."""
        return f"pip install 'millrace[{self.extra}]'"


KNOWN_BROKERS: tuple[KnownBroker, ...] = (
    KnownBroker(
        "rabbitmq",
        "RabbitMQ",
        ("amqp", "amqps"),
        "pika",
        "rabbitmq",
        Capabilities(
            durable=True,
            transactional=False,
            fifo=False,
            delay=True,
            ttl=True,
            dedupe=False,
            shared=True,
            max_body=16 << 20,
            bounded=False,
            browsable=False,
            exact=False,
            overtime=False,
            portable=False,
        ),
    ),
    KnownBroker(
        "redis",
        "Redis and Valkey",
        ("redis", "rediss", "valkey", "valkeys"),
        "hiredis",
        "redis",
        Capabilities(
            durable=True,
            transactional=False,
            fifo=True,
            delay=True,
            ttl=True,
            dedupe=True,
            shared=True,
            max_body=64_000_000,
            resumes=False,
        ),
    ),
    KnownBroker(
        "nats",
        "NATS JetStream",
        ("nats", "tls"),
        "",  # nor what `nats` brings, without NKeys
        "nats",
        Capabilities(
            durable=True,
            transactional=False,
            fifo=False,
            delay=True,
            ttl=True,
            dedupe=False,
            shared=True,
            max_body=1_048_576 - 32_768,
            browsable=False,
            exact=False,
        ),
    ),
    KnownBroker(
        "kafka",
        "Kafka",
        ("kafka", "kafkas"),
        "confluent_kafka",
        "kafka",
        Capabilities(
            durable=True,
            transactional=False,
            fifo=False,
            delay=True,
            ttl=True,
            dedupe=False,
            shared=True,
            max_body=1_048_576 - 32_768,
            bounded=False,
            browsable=False,
            exact=False,
            portable=False,
            ordered=False,
        ),
    ),
    KnownBroker(
        "sqs",
        "Amazon SQS",
        ("sqs",),
        "aiohttp",
        "sqs",
        Capabilities(
            durable=True,
            transactional=False,
            fifo=True,
            delay=True,
            ttl=True,
            dedupe=False,
            shared=True,
            max_body=(1_048_576 - 8192 - 32_768) * 3 // 4,
            bounded=False,
            browsable=False,
            exact=False,
            recalls=False,
            overtime=False,
            ordered=False,
        ),
    ),
)


def scheme_of(url: str) -> str:
    """What stands before `://`, in small letters; empty where nothing does."""
    scheme, separator, _ = url.partition("://")
    return scheme.strip().lower() if separator else ""


def known_broker(url: str) -> KnownBroker | None:
    """The kind of broker that a URL means, None when it is not known."""
    scheme = scheme_of(url)
    return next((broker for broker in KNOWN_BROKERS if scheme in broker.schemes), None)


def schemes() -> list[str]:
    """Every scheme that a broker's URL may have."""
    return [scheme for broker in KNOWN_BROKERS for scheme in broker.schemes]


def titles_that(feature: str) -> Iterator[str]:
    """The brokers that claim a feature, by the name of its flag, the embedded queue first."""
    yield "the embedded queue"
    yield from (broker.title for broker in KNOWN_BROKERS if getattr(broker.claims, feature))
