"""What goes wrong between here and the broker, and how it is told to people."""

from __future__ import annotations

import re

from millrace.broker_address import PASSWORD_VARIABLE, USER_VARIABLE, Address
from millrace.errors import BrokerDenied, BrokerError, TooLarge, words

NOT_FOUND = 404
PRECONDITION_FAILED = 406
_ACCESS_REFUSED = 403
_NOT_ALLOWED = 530
_TOO_LARGE = re.compile(r"message size \d+ is larger than (?:configured )?max size (\d+)")


class Lost(Exception):
    """The connection, or a channel of it, is gone: what was under way may or may not have happened."""


class Closed(Lost):
    """The broker closed a channel or the connection, and said why: a reply code of AMQP 0-9-1 and a text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code
        self.text = text


class Untrusted(OSError):
    """The broker's certificate is not one that we may trust."""


def is_denied(error: BaseException) -> bool:
    """Whether the broker answered and will not have this user: another try soon is not worth its while."""
    return isinstance(error, Closed) and error.code in (_ACCESS_REFUSED, _NOT_ALLOWED) and not _is_starting(error)


def advice(error: Lost) -> str:
    """What somebody can do so that a channel is not lost in this way again; empty where nobody can."""
    if isinstance(error, Closed) and error.code == PRECONDITION_FAILED and "acknowledgement" in error.text:
        return (
            "; somebody held messages for longer than the broker's consumer_timeout:"
            " raise it in rabbitmq.conf above the longest batch"
        )
    return ""


def most_bytes(error: Lost) -> int | None:
    """What the broker takes of a message, where it closed a channel over one that had more; else None."""
    found = _TOO_LARGE.search(str(error))
    return int(found[1]) if found else None


def too_large(size: int, most: int, *, alone: bool) -> BrokerError:
    """A body beyond the broker's `max_message_size`; `alone` says that nothing that was put with it can be stored."""
    problem = f"a body of {size} bytes: this RabbitMQ takes {most} at most"
    hint = "raise max_message_size in rabbitmq.conf, or put the body into a bucket and its key into the message"
    return TooLarge(problem, hint) if alone else BrokerError(f"{problem}; what was put with it may be stored", hint)


def unreachable(address: Address, error: BaseException) -> BrokerError:
    """Nobody answered at the address, or not in AMQP."""
    return BrokerError(
        f"broker {address} cannot be reached: {words(error)}",
        "is RabbitMQ running there, and is this its AMQP port (5672, or 5671 with amqps://)?",
    )


def refused(address: Address, error: Closed) -> BrokerError:
    """The broker answered, and would not have us: never this user, or not now."""
    if not is_denied(error):
        return unreachable(address, error)
    if error.code == _NOT_ALLOWED:
        hint = f"make it with `rabbitmqctl add_vhost {address.path or '/'}`, and give the user rights in it"
        return BrokerDenied(f"broker {address} has no such virtual host for this user: {error.text}", hint)
    hint = f"put USER:PASSWORD into the URL, or set {USER_VARIABLE} and {PASSWORD_VARIABLE}"
    if address.user in (None, "guest"):
        hint += "; RabbitMQ lets `guest` in from its own machine alone: make a user with `rabbitmqctl add_user`"
    return BrokerDenied(f"broker {address} refused the user or its password: {error.text}", hint)


def untrusted(address: Address, error: Untrusted) -> BrokerError:
    """An encrypted connection to somebody who cannot show to be the broker."""
    return BrokerDenied(
        f"broker {address} cannot be trusted: {error}",
        "name the authority that signed its certificate with ?cafile=FILE.pem, and the host as the certificate does",
    )


def _is_starting(error: Closed) -> bool:
    """Whether a virtual host is still starting, which has the code of one that is not there."""
    return "vhost" in error.text and "down" in error.text
