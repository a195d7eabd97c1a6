"""A user's NKey: an Ed25519 key in NATS's own writing, which signs what the server says first.

The writing is that of github.com/nats-io/nkeys: base32 without padding of a prefix, the key and a CRC-16, its low byte
first.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import msgspec

from millrace.errors import BrokerDenied

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED_OF_USER = b"\x95\x00"  # "SU": five bits that say seed, eight that say user, three that are empty
_USER = b"\xa0"  # "U"
_SEED_BYTES = 32
_CRC_BYTES = 2


class NKey(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One user's key; `seed` is its secret, which `repr` leaves out."""

    seed: bytes

    def __repr__(self) -> str:
        return "NKey(...)"

    def public(self) -> str:
        """The name that a server knows the user by. Raises BrokerDenied without the package cryptography."""
        raw = _USER + _private(self.seed).public_key().public_bytes_raw()
        return base64.b32encode(raw + _crc(raw)).decode().rstrip("=")

    def sign(self, nonce: str) -> str:
        """The signature of a server's nonce, in base64 for URLs. Raises BrokerDenied without the package."""
        return base64.urlsafe_b64encode(_private(self.seed).sign(nonce.encode())).decode().rstrip("=")


def nkey_of(text: str) -> NKey:
    """The key of a seed as it is written, SU... Raises ValueError that does not show it."""
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raise ValueError("a seed is base32") from None
    if not raw.startswith(_SEED_OF_USER):
        raise ValueError("a user's seed begins with SU")
    body, crc = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
    if len(body) != len(_SEED_OF_USER) + _SEED_BYTES or _crc(body) != crc:
        raise ValueError("the seed is not whole: its checksum is another")
    return NKey(body[len(_SEED_OF_USER) :])


def _private(seed: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ModuleNotFoundError:
        raise BrokerDenied(
            "the package cryptography is missing, which signs with an NKey", "pip install 'millrace[nats]'"
        ) from None
    return Ed25519PrivateKey.from_private_bytes(seed)


def _crc(raw: bytes) -> bytes:
    return binascii.crc_hqx(raw, 0).to_bytes(_CRC_BYTES, "little")
