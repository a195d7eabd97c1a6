"""Trying again what the broker or the disk refuses for now, with growing pauses, saying so once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from millrace.clock import Clock
from millrace.errors import BrokerError, StorageError
from millrace.pauses import pauses

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 5.0


async def insist(
    action: Callable[[], Awaitable[T]], what: str, clock: Clock, *, until: asyncio.Future[None] | None = None
) -> T | None:
    """Do the action, again and again while it raises BrokerError or StorageError; None once `until` is done."""
    waits, told = pauses(longest_s=_LONGEST_PAUSE_S), False
    while until is None or not until.done():
        try:
            result = await action()
        except (BrokerError, StorageError) as error:
            if not told:
                _log.error("could not %s, trying again until it works: %s", what, error)
            told = True
            await clock.sleep(next(waits))
        else:
            if told:
                _log.warning("%s works again", what)
            return result
    return None
