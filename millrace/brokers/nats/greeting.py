"""The first words on a connection: what the server is, encryption, and who we are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from millrace.broker_address import Address, place
from millrace.brokers.nats.credentials import Credentials, credentials_of
from millrace.brokers.nats.wire import OnMessage, Wire
from millrace.errors import BrokerDenied, BrokerError, words

_ABOUT: dict[str, object] = {
    "verbose": False,
    "pedantic": False,
    "lang": "python",
    "version": "1",
    "name": "millrace",
    "protocol": 1,
    "headers": True,
    "no_responders": True,
}
_NOT_LET_IN = re.compile("authorization|authentication", re.IGNORECASE)


async def reach(
    address: Address, host: str, port: int, on_message: OnMessage, on_error: Callable[[str], None], patience_s: float
) -> tuple[Wire, Mapping[str, Any]]:
    """A connection to a server of NATS, and what it says of itself. Raises OSError for nobody there, BrokerError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(patience_s):
        transport, wire = await loop.create_connection(lambda: Wire(on_message, on_error), host, port)
    try:
        async with asyncio.timeout(patience_s):
            return wire, await wire.info
    except BaseException as error:
        transport.abort()
        if not isinstance(error, OSError):
            raise
        reason = f"silent for {patience_s:.0f} s" if isinstance(error, TimeoutError) else words(error)
        raise BrokerError(
            f"{address}: what answers at {place(host, port)} does not speak NATS ({reason})",
            "correct the port: NATS's is 4222 as a rule; where it is right, the server hangs",
        ) from error


async def greet(address: Address, host: str, wire: Wire, info: Mapping[str, Any], inbox: str) -> int:
    """Log in and listen to everything below an inbox; the most bytes of a message. Raises OSError, BrokerError."""
    loop = asyncio.get_running_loop()
    transport = wire.transport
    assert transport is not None
    try:
        credentials = credentials_of(address)
        if tls := address.tls_context():
            if info.get("tls_verify") and "certfile" not in address.options:
                raise BrokerDenied(
                    f"{address}: the server asks for this client's certificate", "name it with ?certfile=&keyfile="
                )
            if not (info.get("tls_required") or info.get("tls_available")):
                raise BrokerError(f"{address}: the server takes no encrypted connections", "use nats://")
            wire.transport = await loop.start_tls(transport, wire, tls, server_hostname=host)
        elif info.get("tls_required"):
            raise BrokerError(f"{address}: the server takes encrypted connections only", "use tls://")
        about = msgspec.json.encode(_ABOUT | credentials.login(info))
        wire.write(b"CONNECT %s\r\nSUB %s> 1\r\n" % (about, inbox.encode()))
        try:
            await wire.ping()
        except asyncio.CancelledError:
            if wire.lost.done():
                raise _refused(credentials, wire.lost.result()) from None
            raise
        if not info.get("jetstream"):
            raise BrokerError(
                f"{address}: the server keeps no streams (JetStream is off)", "start it with JetStream: nats-server -js"
            )
    except BaseException:
        transport.abort()
        raise
    return int(info.get("max_payload", 1_048_576))


def _refused(credentials: Credentials, reason: str) -> BrokerError:
    if _NOT_LET_IN.search(reason):
        return credentials.refused(reason)
    return BrokerError(f"{credentials.address}: the server ended the connection ({reason})")
