"""Which delivery of a message a commit came from: so a ledger knows a commit that is repeated from one that is late."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from millrace.types import Commit, Lease, Outcome, Put

_LONGEST = 48  # bytes
_json = msgspec.json.Encoder().encode
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Put]).decode


def delivery_of(lease: Lease) -> str:
    """A short text that is the same for one delivery alone: its receipt, or of a long one a hash.

    A hash begins otherwise than any receipt that is told as it is.
    """
    said = _json(lease.receipt)
    if len(said) <= _LONGEST and said[:1] in b'["':
        return said.decode()
    return blake2b(said, digest_size=12).hexdigest()


def ended(commit: Commit) -> list[Outcome]:
    """The outcomes of a commit after which their messages are no more in their queue."""
    return [outcome for outcome in commit.outcomes if outcome.verdict in ("done", "dead")]


def packed(puts: Sequence[Put]) -> bytes:
    """A message's outputs as they wait in a ledger."""
    return _encode(puts)


def unpacked(doc: bytes) -> list[Put]:
    """The outputs that waited."""
    return _decode(doc)
