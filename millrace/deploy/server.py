"""The broker of a project, as far as others must find its queues: never its user or password."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from millrace.broker_address import Address
from millrace.known_brokers import KnownBroker, known_broker


class Server(msgspec.Struct, frozen=True):
    """A broker and its place; `address` has neither user nor password, `has_user` says whether there are any."""

    kind: KnownBroker
    address: Address
    has_user: bool

    def example(self) -> str:
        """Its URL with words where user and password belong."""
        there = self.address
        end = f"?prefix={quote(there.prefix)}" if there.prefix else ""
        return f"{there.scheme}://USER:PASSWORD@{','.join(there.places())}/{quote(there.path or '', safe='')}{end}"


def server_of(url: str | None) -> Server | None:
    """The broker of a URL; None without one, and for a kind that is not known (which the project's check tells).

    Raises BrokerDenied.
    """
    known = known_broker(url) if url else None
    if url is None or known is None:
        return None
    address = known.address(url, environ={})
    has_user = (address.user, address.password) != (None, None)
    return Server(known, msgspec.structs.replace(address, user=None, password=None), has_user)
