"""Which names can only mean this machine, and which page of a browser a request comes from."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def without_port(host: str) -> str:
    """The name in a Host header, an IPv6 address with its opening bracket."""
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]


def origin_host(origin: str) -> str:
    """The host in an Origin header, empty where there is none."""
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
