"""Who waits for what: NOTIFY tells every process of the fleet, one listening connection each.

A notification is sent after the commit and not within it, since PostgreSQL lets commits that notify wait for each
other, disk and all. What a process does not send because it dies is found by those who wait when they look again,
which they do every other second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b

import psycopg
from psycopg import sql

from millrace.clock import Clock
from millrace.errors import StorageError
from millrace.pauses import pauses
from millrace.signals import Signal, Signals
from millrace.stores.postgres.link import Link, unavailable

LOOK_EVERY_S = 2.0
_NOTIFY = sql.SQL("SELECT pg_notify(%(channel)s, topic) FROM unnest(%(topics)s::text[]) AS topic")
_log = logging.getLogger(__name__)


class Listener:
    """Topics of one schema, woken by any process; for one event loop. It connects when somebody listens first."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._signals = Signals(clock)
        self._channel = f"millrace_{link.address.schema}"
        self._pending: set[str] = set()
        self._telling: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    @contextmanager
    def listen(self, topic: str) -> Iterator[Signal]:
        """Hear all wakes of a topic from here on: look at the database after this, then wait for LOOK_EVERY_S."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        with self._signals.listen(_short(topic)) as signal:
            yield signal

    def tell(self, topic: str) -> None:
        """Something of this topic was committed: wake all who listen, here at once, and elsewhere soon."""
        self._signals.wake([_short(topic)])
        self._pending.add(_short(topic))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def close(self) -> None:
        """Send what is to be sent, and let go of the connection."""
        if self._telling is not None:
            await self._telling
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    async def _tell(self) -> None:
        """One journey for all that was committed during the one before."""
        while self._pending:
            topics, self._pending = self._pending, set()
            try:
                await self._link.rows(_NOTIFY, {"channel": self._channel, "topics": list(topics)})
            except StorageError as error:
                _log.debug("others will notice by themselves: %s", error)

    async def _listen(self) -> None:
        waits, told = pauses(), False
        while True:
            try:
                async with self._link.alone() as connection:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    if told:
                        _log.warning("%s is back", self._link.address)
                    waits, told = pauses(), False
                    self._signals.wake(None)  # what was committed before nobody heard
                    async for notification in connection.notifies():
                        self._signals.wake([notification.payload])
            except (StorageError, psycopg.Error) as error:
                if not told:
                    told = True
                    _log.error("%s, trying again until it works", unavailable(error, self._link.address))
            await self._clock.sleep(next(waits))


def _short(topic: str) -> str:
    """A topic that fits into a notification, whatever the name of its table."""
    return topic if len(topic) <= 64 and topic.isascii() else blake2b(topic.encode(), digest_size=16).hexdigest()
