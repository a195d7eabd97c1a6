"""The brokers that a project may name: their URLs' schemes and options, what they need installed, what they claim.

Adapters read it as well as the project's check, so that `millrace check` and `millrace manifests` tell in a moment, and
without a connection or a client library, what an adapter would say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

import msgspec

from millrace.broker import Capabilities
from millrace.broker_address import Address, parse_address
from millrace.errors import BrokerDenied

EMBEDDED = "embedded"  # the name of the queue in .millrace, where a broker is named by its URL
_RECORD_BYTES = 1_048_576  # that Kafka, NATS and SQS take of a message with all that goes with it
HEADER_BYTES = 32_768  # of which are kept for ids and attributes
LETTER_BYTES = 8_192  # of which are kept in SQS, so that a message can die with its reason
_HTTPS_PORT = 443  # SQS's, and everybody's
_HOST = r"(?:[\w.-]+|\[[\da-fA-F:.]+\])"
_BARE = re.compile(rf"(?://)?(?P<shown>(?:{_HOST}(?::\d+)?,)*{_HOST}:(?P<port>\d+)(?:/[\w.-]*)?)", re.ASCII)


class KnownBroker(msgspec.Struct, frozen=True):
    """One kind of broker: `package` is what its adapter imports, `extra` what installs it, "" where it needs none.

    `ports` has the default port of each scheme, `options` what its URLs may have behind the question mark, beside what
    all may have. `alone` is what stands for the host where the adapter would not look at a second one.
    """

    name: str
    title: str
    ports: Mapping[str, int]
    package: str
    extra: str
    claims: Capabilities
    options: tuple[str, ...] = ()
    alone: str = ""

    @property
    def schemes(self) -> list[str]:
        """What its URLs may begin with, the usual one first."""
        return list(self.ports)

    @property
    def is_installed(self) -> bool:
        """Whether the client library is there."""
        return not self.package or find_spec(self.package) is not None

    @property
    def install(self) -> str:
        """The command that installs the client library."""
        return f"pip install 'millrace[{self.extra}]'"

    def address(self, url: str, environ: Mapping[str, str] | None = None) -> Address:
        """Where the broker of a URL is. Raises BrokerDenied."""
        address = parse_address(url, self.ports, self.options, environ)
        if self.alone and len(address.hosts) > 1:
            raise BrokerDenied(
                f"broker {address}: a URL of {self.title} names one {self.alone}, here are {len(address.hosts)}",
                "leave the others out: nobody would look at them",
            )
        return address


RABBITMQ = KnownBroker(
    "rabbitmq",
    "RabbitMQ",
    {"amqp": 5672, "amqps": 5671},
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
        max_body=16 << 20,  # what RabbitMQ 4 takes unless it is told otherwise; 3.8 to 3.13 take 128 MiB
        bounded=False,
        browsable=False,
        exact=False,
        overtime=False,
        portable=False,
    ),
    ("heartbeat",),
)
REDIS = KnownBroker(
    "redis",
    "Redis and Valkey",
    {"redis": 6379, "rediss": 6379, "valkey": 6379, "valkeys": 6379},
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
    ("wait_replicas",),
    alone="host",
)
NATS = KnownBroker(
    "nats",
    "NATS JetStream",
    {"nats": 4222, "tls": 4222},
    "",  # nor what `nats` brings, without NKeys
    "nats",
    Capabilities(
        durable=True,
        transactional=False,
        fifo=False,
        delay=True,
        ttl=True,
        dedupe=False,  # only within the server's window, and not by key
        shared=True,
        max_body=_RECORD_BYTES - HEADER_BYTES,  # where the server's max_payload is the usual one
        browsable=False,  # of another process's first delivery nobody can tell whether its lease has run out
        exact=False,  # nor how much of what was delivered waits for its next try
    ),
    ("replicas", "window", "creds"),
)
KAFKA = KnownBroker(
    "kafka",
    "Kafka",
    {"kafka": 9092, "kafkas": 9093},
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
        max_body=_RECORD_BYTES - HEADER_BYTES,
        bounded=False,
        browsable=False,
        exact=False,
        portable=False,
        ordered=False,
    ),
    ("partitions", "replicas", "sasl"),
)
SQS = KnownBroker(
    "sqs",
    "Amazon SQS",
    {"sqs": 443},
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
        max_body=(_RECORD_BYTES - LETTER_BYTES - HEADER_BYTES) * 3 // 4,  # bytes travel as base64
        bounded=False,
        browsable=False,
        exact=False,
        recalls=False,
        overtime=False,
        ordered=False,
    ),
    ("endpoint",),
    alone="region",
)

KNOWN_BROKERS = (RABBITMQ, REDIS, NATS, KAFKA, SQS)


def scheme_of(url: str) -> str:
    """What stands before `://`, in small letters; empty where nothing does."""
    scheme, separator, _ = url.partition("://")
    return scheme.strip().lower() if separator else ""


def url_meant(text: str, schemes: Mapping[int, str] | None = None) -> str:
    """The URL that `localhost:5672` means by its port; empty where that is an unusual one.

    Where a user stands before it, nothing is shown as it was written. `schemes` are those of usual ports, without them
    the brokers'.
    """
    user, at, place = text.strip().rpartition("@")
    found = _BARE.fullmatch(place)
    known = _usual_ports() if schemes is None else schemes
    if found is None or "://" in user or int(found["port"]) not in known:
        return ""
    shown = f"USER:PASSWORD@HOST:{found['port']}" if at else found["shown"]
    return f"{known[int(found['port'])]}://{shown}"


def _usual_ports() -> dict[int, str]:
    """The first scheme of each port."""
    ports = [(port, scheme) for broker in KNOWN_BROKERS for scheme, port in broker.ports.items()]
    return {port: scheme for port, scheme in reversed(ports) if port != _HTTPS_PORT}


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
