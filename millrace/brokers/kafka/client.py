"""Settings of librdkafka's clients, and its errors in our words."""

from __future__ import annotations

import logging
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from millrace.broker_address import Address
from millrace.errors import BrokerDenied, BrokerError

Settings = dict[str, str | int | float | bool | Callable[..., object] | logging.Logger]

_quiet = logging.getLogger("millrace.kafka.client")
_quiet.addFilter(lambda record: record.levelno >= logging.CRITICAL)  # one line at a loss is ours: see Health
_log = logging.getLogger(__name__)
_DENIED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._SSL,
}


class Health:
    """Says once that no broker can be reached, and once that one can be again."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lost = False
        self._met = False
        self.denied: KafkaError | None = None
        self.last: KafkaError | None = None

    def error(self, error: KafkaError) -> None:
        """librdkafka's error callback."""
        if error.code() in _DENIED:
            self.denied = error
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last = error
        elif self._met and not self._lost:
            self._lost = True
            _log.warning("broker %s: connection lost; trying again", self._address)

    def well(self) -> None:
        """Something was answered."""
        self._met, self.last = True, None
        if self._lost:
            self._lost = False
            _log.warning("broker %s: connected again", self._address)

    def unreachable(self) -> BrokerError:
        """Why nobody answered, as far as the client told: the last that went wrong with one of the hosts."""
        if self.last is None:
            return BrokerError(
                f"broker {self._address}: no answer in time",
                "is Kafka running there, and is this its port (9092 as a rule, 9093 with kafkas://)?",
            )
        if self.last.code() == KafkaError._BAD_MSG:
            return BrokerError(
                f"broker {self._address}: what answers at {self.last.str().partition('/')[0]} does not speak Kafka",
                "correct the port: Kafka's is 9092 as a rule, 9093 with kafkas://",
            )
        return BrokerError(
            f"broker {self._address} cannot be reached: {self.last.str()}",
            "check that the cluster is up and reachable from here",
        )


def settings_of(address: Address, health: Health) -> Settings:
    """What all clients of an address share."""
    settings: Settings = {
        "bootstrap.servers": ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in address.hosts
        ),
        "client.id": "millrace",
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 10_000,
        "error_cb": health.error,
        "logger": _quiet,
    }
    if address.user is not None:
        settings |= {
            "sasl.mechanism": address.options.get("sasl", "PLAIN"),
            "sasl.username": address.user,
            "sasl.password": address.password or "",
        }
    settings["security.protocol"] = ("sasl_" if address.user is not None else "") + (
        "ssl" if address.tls else "plaintext"
    )
    for option, name in (
        ("cafile", "ssl.ca.location"),
        ("certfile", "ssl.certificate.location"),
        ("keyfile", "ssl.key.location"),
    ):
        if option in address.options:
            settings[name] = address.options[option]
    return settings


def told(error: KafkaException | KafkaError, doing: str) -> BrokerError:
    """An error of librdkafka in our words."""
    inner = error.args[0] if isinstance(error, KafkaException) else error
    if not isinstance(inner, KafkaError):
        return BrokerError(f"Kafka could not {doing}: {inner}", "see the settings in the broker's URL")
    text = f"Kafka could not {doing}: {inner.str()} ({inner.name()})"
    if inner.code() in _DENIED:
        return BrokerDenied(text, "check the user, the password and what they may do (ACLs)")
    return BrokerError(text, "check that the cluster is up and reachable from here")
