"""Receipts that also tell the message's id, since a lease may come back with nothing but its handle."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from millrace.types import Lease

_MARK = "millrace-outbox"


def outer(lease: Lease) -> Lease:
    """A lease of the inner broker as it is handed out."""
    return msgspec.structs.replace(lease, receipt=(_MARK, lease.message.id, lease.receipt))


def inner(lease: Lease) -> Lease:
    """The lease as the inner broker gave it, with its message's id if with nothing else.

    What is no receipt of ours is left for the inner broker to refuse.
    """
    receipt = lease.receipt
    if isinstance(receipt, tuple) and len(receipt) == 3 and receipt[0] == _MARK and isinstance(receipt[1], str):
        if receipt[1] == lease.message.id:
            return msgspec.structs.replace(lease, receipt=receipt[2])
        message = msgspec.structs.replace(lease.message, id=receipt[1])
        return msgspec.structs.replace(lease, receipt=receipt[2], message=message)
    return lease


def among(leases: Sequence[Lease], inner_receipts: set[Hashable]) -> list[Lease]:
    """Those leases whose inner receipts are among some: mostly of the lost, who are none."""
    return [lease for lease in leases if inner(lease).receipt in inner_receipts] if inner_receipts else []
