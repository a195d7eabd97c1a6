"""Users of a NATS server as its own tools would make them: NKeys, and the JWTs of an operator, an account and a user.

The writing is that of github.com/nats-io/nkeys and jwt/v2, made here with cryptography alone, so that our reading
of it is checked by a server and not by itself.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED = 18 << 3
_KINDS = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
_UNLIMITED = dict.fromkeys(["subs", "data", "payload", "imports", "exports", "conn", "leaf"], -1) | {"wildcards": True}
_STREAMS = dict.fromkeys(["mem_storage", "disk_storage", "streams", "consumer"], -1)


class Identity:
    """A key of an operator, an account or a user."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._key = Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        return _text(bytes([_KINDS[self.kind]]) + self._key.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        kind = _KINDS[self.kind]
        return _text(bytes([_SEED | kind >> 5, (kind & 31) << 3]) + self._key.private_bytes_raw())

    def grants(self, to: Identity, **nats: object) -> str:
        """A JWT in which this one says what another may do."""
        claims = {
            "jti": to.public,
            "iat": int(time.time()),
            "iss": self.public,
            "sub": to.public,
            "name": to.kind,
            "nats": {**nats, "type": to.kind, "version": 2},
        }
        signed = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(claims)}"
        return f"{signed}.{_url64(self._key.sign(signed.encode()))}"


class Realm:
    """An operator with one account that may keep streams, and the server's configuration for it."""

    def __init__(self) -> None:
        self.operator = Identity("operator")
        self.account, self.system = Identity("account"), Identity("account")

    def configuration(self) -> str:
        operator = self.operator.grants(self.operator, system_account=self.system.public)
        streams = self.operator.grants(self.account, limits=_UNLIMITED | _STREAMS)
        system = self.operator.grants(self.system, limits=_UNLIMITED)
        accounts = f"{self.account.public}: {streams}, {self.system.public}: {system}"
        return f"operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {accounts} }}\n"

    def credentials(self, path: Path) -> Path:
        """The credentials file of a new user, as nsc writes it."""
        user = Identity("user")
        jwt = self.account.grants(user, subs=-1, data=-1, payload=-1)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "NKEY Seed printed below can be used to sign and prove identity.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n\n"
        )
        return path


def _text(raw: bytes) -> str:
    crc = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + crc).decode().rstrip("=")


def _part(claims: dict[str, object]) -> str:
    return _url64(json.dumps(claims, separators=(",", ":")).encode())


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
