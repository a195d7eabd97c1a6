"""Who we say that we are: a user and a password, a token, or an NKey with or without the JWT that stands for it.

A credentials file is what `nsc generate creds` writes: a JWT and a seed, each between two lines of dashes. A file with
a seed alone is read as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from millrace.broker_address import PASSWORD_VARIABLE, USER_VARIABLE, Address
from millrace.brokers.nats.nkey import NKey, nkey_of
from millrace.errors import BrokerDenied

OPTION = "creds"
CREDS_VARIABLE = "MILLRACE_BROKER_CREDS"
_MOST_BYTES = 65_536
_BLOCK = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s+(\S+)\s+-{3,}END")
_JWT, _SEED = "NATS USER JWT", "USER NKEY SEED"
_EXPECTED = "expected a user's credentials as `nsc generate creds` writes them, or a user's seed, SU..., alone"


class Credentials(msgspec.Struct, frozen=True):
    """What a CONNECT says of us, made anew for each connection: a file may be replaced while we run."""

    address: Address
    path: Path | None = None

    def login(self, info: Mapping[str, Any]) -> dict[str, str]:
        """The members of CONNECT for a server that said `info`. Raises BrokerDenied that says what is wrong."""
        if self.path is None:
            return self._by_name()
        nonce = info.get("nonce")
        if not nonce:
            raise BrokerDenied(
                f"{self.address}: the server knows no NKeys, and {self.path} has one",
                f"leave {OPTION} and {CREDS_VARIABLE} out, or give the server's users NKeys",
            )
        key, jwt = self._read(self.path)
        signed = {"sig": key.sign(nonce), "nkey": key.public()}
        return signed | {"jwt": jwt} if jwt else signed

    def refused(self, reason: str) -> BrokerDenied:
        """The error for a server that would not have us."""
        if self.path is not None:
            hint = f"{self.path} is for another server, or has expired: ask for new credentials (nsc generate creds)"
        elif self.address.user is None:
            hint = (
                f"put user and password or a token into the URL, or into {USER_VARIABLE} and {PASSWORD_VARIABLE}; "
                f"a credentials file into ?{OPTION}= or {CREDS_VARIABLE}"
            )
        else:
            what = "the token" if self.address.password is None else "user and password"
            hint = f"correct {what} in the URL, or in {USER_VARIABLE} and {PASSWORD_VARIABLE}"
        return BrokerDenied(f"{self.address}: the server refuses this user ({reason})", hint)

    def _by_name(self) -> dict[str, str]:
        """A user without a password is a token, as in every NATS URL."""
        user, password = self.address.user, self.address.password
        if user is None:
            return {}
        return {"auth_token": user} if password is None else {"user": user, "pass": password}

    def _read(self, path: Path) -> tuple[NKey, str]:
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES).decode(errors="replace")
        except OSError as error:
            raise BrokerDenied(f"{self.address}: {path} cannot be read: {error.strerror}", _EXPECTED) from error
        blocks: dict[str, str] = dict(_BLOCK.findall(text))
        try:
            return nkey_of(blocks.get(_SEED) or text.strip()), blocks.get(_JWT, "")
        except ValueError as error:
            raise BrokerDenied(f"{self.address}: {path}: {error}", _EXPECTED) from None


def credentials_of(address: Address, environ: Mapping[str, str] | None = None) -> Credentials:
    """Those of the file that the URL names, else of the environment's, else the URL's own."""
    environ = os.environ if environ is None else environ
    path = address.options.get(OPTION) or (environ.get(CREDS_VARIABLE) if address.user is None else None)
    return Credentials(address, Path(path) if path else None)
