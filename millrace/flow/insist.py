"""Trying again what the broker or the disk refuses for now, with growing pauses, saying so once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from millrace.clock import Clock
from millrace.errors import BrokerError, StorageError

T = TypeVar("T")
_log = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


async def insist(
    action: Callable[[], Awaitable[T]], what: str, clock: Clock, *, until: asyncio.Future[None] | None = None
) -> T | None:
    """Do the action, again and again while it raises BrokerError or StorageError; None once `until` is done."""
    pause_s = _FIRST_PAUSE_S
    while until is None or not until.done():
        try:
            result = await action()
        except (BrokerError, StorageError) as error:
            if pause_s == _FIRST_PAUSE_S:
                _log.error("could not %s, trying again until it works: %s", what, error)
            await clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            if pause_s > _FIRST_PAUSE_S:
                _log.warning("%s works again", what)
            return result
    return None
