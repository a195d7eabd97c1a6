"""What the server's settings mean for what was accepted: read once, said once."""

from __future__ import annotations

import logging

from millrace.brokers.redis.link import Link
from millrace.errors import BrokerError

_log = logging.getLogger(__name__)
_SETTINGS = ("appendonly", "appendfsync", "maxmemory-policy")


async def warn(link: Link) -> None:
    """Log one warning when messages could be lost by a restart or by eviction."""
    try:
        found = await link.command("CONFIG", "GET", *_SETTINGS)
    except BrokerError:  # managed servers forbid it
        _log.info(
            "redis %s does not tell its settings: whether it keeps messages over a restart is unknown", link.address
        )
        return
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    said = {name.decode(): value.decode() for name, value in pairs}
    if faults := faults_of(said):
        _log.warning("redis %s: %s", link.address, "; ".join(faults))


def faults_of(settings: dict[str, str]) -> list[str]:
    """What is wrong with settings of a server that is to keep queues, each with what to do."""
    faults = []
    if settings.get("appendonly") == "no":
        faults.append("appendonly is off, so a restart loses messages that were accepted: set appendonly yes")
    elif settings.get("appendfsync") == "no":
        faults.append(
            "appendfsync is no, so a power loss may lose half a minute of messages: set it to always or everysec"
        )
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        faults.append(f"maxmemory-policy is {policy}, so messages may be evicted: set it to noeviction")
    return faults
