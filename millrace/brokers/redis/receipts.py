"""Receipts: the entry, and the token under which it was leased."""

from __future__ import annotations

import re

from millrace.types import Lease

_ENTRY = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")
_NOBODYS = ("0-0", "?")


def entry_and_token(lease: Lease) -> tuple[str, str]:
    """What a receipt says; it may have come from outside, and what is none of ours is that of no message."""
    receipt = lease.receipt
    if isinstance(receipt, tuple) and len(receipt) == 2:
        entry, token = receipt
        if type(entry) is str and type(token) is int and _ENTRY.fullmatch(entry):
            return entry, str(token)
    return _NOBODYS
