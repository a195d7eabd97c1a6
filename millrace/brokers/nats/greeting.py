"""The first words on a connection: what the server is, encryption, and who we are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from millrace.brokers.address import Address
from millrace.brokers.nats.wire import OnMessage, Wire
from millrace.errors import BrokerDenied, BrokerError


async def greet(
    address: Address, host: str, port: int, inbox: str, on_message: OnMessage, on_error: Callable[[str], None]
) -> tuple[Wire, int]:
    """A connection that is logged in and listens to everything below an inbox, and the most bytes of a message.

    Raises OSError, BrokerError.
    """
    loop = asyncio.get_running_loop()
    transport, wire = await loop.create_connection(lambda: Wire(on_message, on_error), host, port)
    try:
        info = await wire.info
        if tls := address.tls_context():
            wire.transport = await loop.start_tls(transport, wire, tls, server_hostname=host)
        elif info.get("tls_required"):
            raise BrokerError(f"{address}: the server takes encrypted connections only", "use tls://")
        wire.write(b"CONNECT %s\r\nSUB %s> 1\r\n" % (_login(address), inbox.encode()))
        try:
            await wire.ping()
        except asyncio.CancelledError:
            if wire.lost.done():
                raise _refused(address, wire.lost.result()) from None
            raise
        if not info.get("jetstream"):
            raise BrokerError(
                f"{address}: the server keeps no streams (JetStream is off)", "start it with JetStream: nats-server -js"
            )
    except BaseException:
        transport.abort()
        raise
    return wire, int(info.get("max_payload", 1_048_576))


def _login(address: Address) -> bytes:
    """What CONNECT says; a user without a password is a token, as in every NATS URL."""
    about: dict[str, Any] = {
        "verbose": False,
        "pedantic": False,
        "lang": "python",
        "version": "1",
        "name": "millrace",
        "protocol": 1,
        "headers": True,
        "no_responders": True,
    }
    if address.user is not None and address.password is not None:
        about |= {"user": address.user, "pass": address.password}
    elif address.user is not None:
        about["auth_token"] = address.user
    return msgspec.json.encode(about)


def _refused(address: Address, reason: str) -> BrokerError:
    if "authorization" in reason.lower():
        return BrokerDenied(
            f"{address}: the server refuses this user ({reason})",
            "put user and password into the URL, or into MILLRACE_BROKER_USER and MILLRACE_BROKER_PASSWORD",
        )
    return BrokerError(f"{address}: the server ended the connection ({reason})")
