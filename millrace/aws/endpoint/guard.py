"""Who may ask: on loopback every program of this machine, elsewhere whoever signs with a key of the project.

A web page in a local browser can reach loopback as well, by posting across sites or by rebinding its own name to
127.0.0.1. So there the Host must be a loopback name, and an Origin too.
"""

from __future__ import annotations

from collections.abc import Mapping

from millrace.aws.endpoint.call import Call
from millrace.aws.endpoint.sigv4 import Refused, identify, verify
from millrace.clock import Clock
from millrace.loopback import is_loopback, origin_host, without_port


class Guard:
    """Raises Refused for calls that may not be answered; `keys` None means that the endpoint is on loopback."""

    def __init__(self, keys: Mapping[str, str] | None, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def admit(self, call: Call, *, anyone: bool = False) -> None:
        """Before the body is read: raise Refused for what a foreign web page sent, and for who has no key.

        `anyone`: whoever is not such a page may ask, without a key too.
        """
        if self._keys is not None:
            if not anyone:
                identify(call, self._keys, self._clock.now())
            return
        host, origin = call.headers.get("host"), call.headers.get("origin")
        if host and not is_loopback(without_port(host)):
            raise Refused("AccessDenied", "This endpoint is for this machine alone: use 127.0.0.1 or localhost.")
        elsewhere = origin is not None and not is_loopback(origin_host(origin))
        if elsewhere or call.headers.get("sec-fetch-site") == "cross-site":
            raise Refused("AccessDenied", "A web page from elsewhere may not use this endpoint.")

    def check(self, call: Call) -> None:
        """Raise Refused unless the whole call, its body included, is signed as it must be."""
        if self._keys is not None:
            verify(call, self._keys, self._clock.now())
