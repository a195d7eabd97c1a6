"""The first words on a connection: what the server is, encryption, and who we are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import msgspec

from millrace.broker_address import Address
from millrace.brokers.nats.credentials import Credentials, credentials_of
from millrace.brokers.nats.wire import OnMessage, Wire
from millrace.errors import BrokerDenied, BrokerError

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


async def greet(
    address: Address, host: str, port: int, inbox: str, on_message: OnMessage, on_error: Callable[[str], None]
) -> tuple[Wire, int]:
    """A connection that is logged in and listens to everything below an inbox, and the most bytes of a message.

    Raises OSError, BrokerError.
    """
    loop = asyncio.get_running_loop()
    credentials = credentials_of(address)
    transport, wire = await loop.create_connection(lambda: Wire(on_message, on_error), host, port)
    try:
        info = await wire.info
        if tls := address.tls_context():
            if info.get("tls_verify") and "certfile" not in address.options:
                raise BrokerDenied(
                    f"{address}: the server asks for this client's certificate", "name it with ?certfile=&keyfile="
                )
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
    return wire, int(info.get("max_payload", 1_048_576))


def _refused(credentials: Credentials, reason: str) -> BrokerError:
    if _NOT_LET_IN.search(reason):
        return credentials.refused(reason)
    return BrokerError(f"{credentials.address}: the server ended the connection ({reason})")
