"""Who may ask: a token in constant time, or, without one, only programs of this machine.

Without a token the gateway listens on loopback, where any web page in a local browser can reach it too: by posting
across sites, or by rebinding its own name to 127.0.0.1. So the Host must be a loopback name, and an Origin as well.
"""

from __future__ import annotations

import hmac
from functools import lru_cache

from millrace.errors import MillraceError
from millrace.loopback import is_loopback, origin_host, without_port
from millrace.sources.http import problems
from millrace.sources.http.requests import Request


@lru_cache(1024)
def _is_local(host: str) -> bool:
    """Whether a Host header can only mean this machine."""
    return is_loopback(without_port(host))


def check_bind(host: str, token: str | None) -> None:
    """Raise MillraceError when this address would be reachable from elsewhere without a token."""
    if token or is_loopback(host):
        return
    raise MillraceError(
        f"Refused to listen on {host or 'every address'} without a token: everybody who reaches it could send work.",
        "Set MILLRACE_TOKEN (or gateway.token in millrace.yml) to a long random secret, which clients then send as "
        "'Authorization: Bearer ...'; or stay on this machine with --host 127.0.0.1.",
    )


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), expected.encode(errors="surrogateescape"))


def bearer(request: Request) -> str:
    """The token of `Authorization: Bearer`, empty without one."""
    scheme, _, token = (request.header(b"authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class Guard:
    """Raises a problem for requests that may not be answered."""

    def __init__(self, token: str | None, open_paths: frozenset[str]) -> None:
        self._token = token or None
        self._open_paths = open_paths

    def check(self, request: Request, *, invited: bool = False) -> None:
        """Raise a problem (401, 403 or 421) unless this request may be answered.

        `invited`: the path's `cors` names the origin, so the author of the project wants pages of that site to ask.
        """
        if self._token is None:
            self._check_local(request, invited)
        elif request.path not in self._open_paths and not self.trusts(request):
            raise problems.unauthorized("Authorization: Bearer with the gateway's token")

    def trusts(self, request: Request) -> bool:
        """Whether a request that was let in is from this machine's owner: it has the token, or none is asked for."""
        return self._token is None or same_secret(bearer(request), self._token)

    def opens(self, path: str) -> bool:
        """Whether a path answers without the gateway's token."""
        return path in self._open_paths

    def _check_local(self, request: Request, invited: bool) -> None:
        host = request.header(b"host")
        # Only HTTP/1.0 comes without a Host, and no browser speaks it.
        if host and not _is_local(host):
            raise problems.misdirected(host)
        if invited:
            return
        origin = request.header(b"origin")
        if origin is not None and not is_loopback(origin_host(origin)):
            raise problems.cross_site(origin)
        if request.header(b"sec-fetch-site") == "cross-site":
            raise problems.cross_site("sec-fetch-site: cross-site")
