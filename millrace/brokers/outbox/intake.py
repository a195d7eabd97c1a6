"""Puts: note, put, confirm. A put that was confirmed is answered as a duplicate; one that was only noted is repeated.
What is fresh needs no note, since nobody can ask for it yet: it is known as soon as the broker has it.

    crash before the put     the note is nobody's knowledge: the next put of the id goes to the broker
    crash before the confirm the broker has the message: the next put of the id brings it a second time, and the copy
                             is dropped when it is taken or committed

Within a process, those who put while others do go together next: one note, one put and one confirm for all of them.
Puts of one id that do not go together wait for each other, so that one of them is told that it was first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from millrace.broker import Broker
from millrace.brokers.depth import Depth
from millrace.brokers.outbox.shared import Shared
from millrace.errors import QueueFull, TooLarge, Unencodable, UnknownQueue
from millrace.store import Ledger, Noted
from millrace.types import Accepted, Put

WINDOW_S = 86400.0  # of a queue that another process has declared
_OVERLAP_S = 0.01  # nobody waits for longer until the puts before are safe
_MOST = 32  # that go together: one confirm for as many costs each of them little, and the next need not wait for it
_LATE_S = 1.0  # a put that failed after that failed for everybody: the broker or the ledger is away
_MOST_BYTES = 32 << 10  # of the bodies of one who goes with others
_Place = tuple[str, str, str]  # queue, "id" or "key", and which


class Intake:
    """Puts messages into the inner broker, each id once as far as is known."""

    def __init__(self, inner: Broker, ledger: Ledger, depth: Depth, windows_s: Mapping[str, float]) -> None:
        self._inner = inner
        self._ledger = ledger
        self._depth = depth
        self._windows_s = windows_s
        self._busy: dict[_Place, asyncio.Future[None]] = {}
        self._note = Shared(self._note_all)
        self._confirm = Shared(self._confirm_all)
        self._together = {
            bounded: Shared(partial(self._put, bounded=bounded), most=_MOST, overlap_s=_OVERLAP_S, late_s=_LATE_S)
            for bounded in (True, False)
        }

    async def put(self, puts: Sequence[Put], *, bounded: bool = True) -> Sequence[Accepted]:
        """Put what is not known; outputs of functions are not `bounded` by max_depth."""
        if not puts:
            return await self._inner.put(puts)
        if not self._may_join(puts):
            return await self._put(puts, bounded=bounded)
        return await self._together[bounded](puts)

    def _may_join(self, puts: Sequence[Put]) -> bool:
        """Whether these can go with others': what may well be refused, or is large, goes alone."""
        known = self._windows_s.keys() >= {put.queue for put in puts}
        return known and sum([len(put.message.body) for put in puts]) <= _MOST_BYTES

    async def _put(self, puts: Sequence[Put], *, bounded: bool) -> list[Accepted]:
        async with self._alone(puts):
            noted = await self._noted(puts)
            bound = [_bound(put, note) for put, note in zip(puts, noted, strict=True)]
            places = _unknown(bound, noted)
            stored = await self._stored([bound[place] for place in places], bounded=bounded)
            answers = _answers(bound, noted, dict(zip(places, stored, strict=True)))
            unsure = [at for at, note in enumerate(noted) if not note.known or (puts[at].dedupe and not note.by_key)]
            if unsure:
                await self._confirm([(bound[at], answers[at].sequence) for at in unsure])
            return answers

    async def _noted(self, puts: Sequence[Put]) -> list[Noted]:
        """What is known of each; of what is fresh nothing can be."""
        asked = [put for put in puts if not _is_fresh(put)]
        found = iter(await self._note(asked) if asked else ())
        return [Noted(put.message.id) if _is_fresh(put) else next(found) for put in puts]

    async def _note_all(self, puts: Sequence[Put]) -> list[Noted]:
        return await self._ledger.note(puts, self._windows(puts))

    async def _confirm_all(self, placed: Sequence[tuple[Put, int]]) -> list[None]:
        puts, sequences = _apart([each for each in placed if _is_fresh(each[0])])
        if puts:
            await self._ledger.know(puts, sequences, self._windows(puts))
        puts, sequences = _apart([each for each in placed if not _is_fresh(each[0])])
        if puts:
            await self._ledger.confirm(puts, sequences)
        return [None] * len(placed)

    def _windows(self, puts: Sequence[Put]) -> list[float]:
        return [self._windows_s.get(put.queue, WINDOW_S) for put in puts]

    async def _stored(self, unknown: Sequence[Put], *, bounded: bool) -> list[Accepted]:
        """What the broker says of messages that it has now. Keys are the ledger's alone: two could disagree."""
        if not unknown:
            return []
        try:
            if bounded:
                await self._depth.check(Counter(put.queue for put in unknown))
            return await self._inner.put([_unkeyed(put) for put in unknown])
        except (UnknownQueue, QueueFull, TooLarge, Unencodable):  # nothing was stored, so nothing may be bound by it
            await self._ledger.withdraw(unknown)
            raise

    @asynccontextmanager
    async def _alone(self, puts: Sequence[Put]) -> AsyncIterator[None]:
        """Wait until nobody else here puts these ids and keys, and keep others waiting."""
        places = {(put.queue, "id", put.message.id) for put in puts if not _is_fresh(put)}
        places |= {(put.queue, "key", put.dedupe) for put in puts if put.dedupe}
        while others := [self._busy[place] for place in places if place in self._busy]:
            await asyncio.wait(others)
        mine = asyncio.get_running_loop().create_future()
        self._busy.update(dict.fromkeys(places, mine))
        try:
            yield
        finally:
            for place in places:
                del self._busy[place]
            mine.set_result(None)


def _is_fresh(put: Put) -> bool:
    return put.fresh and not put.dedupe


def _unkeyed(put: Put) -> Put:
    return msgspec.structs.replace(put, dedupe="") if put.dedupe else put


def _apart(placed: Sequence[tuple[Put, int]]) -> tuple[list[Put], list[int]]:
    return [put for put, _ in placed], [sequence for _, sequence in placed]


def _bound(put: Put, noted: Noted) -> Put:
    """The put under the id that its dedupe key is bound to."""
    if noted.id == put.message.id:
        return put
    return msgspec.structs.replace(put, message=msgspec.structs.replace(put.message, id=noted.id))


def _unknown(bound: Sequence[Put], noted: Sequence[Noted]) -> list[int]:
    """Where those are that nobody knows, each id once."""
    first: dict[tuple[str, str], int] = {}
    for place, (put, note) in enumerate(zip(bound, noted, strict=True)):
        if not note.known:
            first.setdefault((put.queue, put.message.id), place)
    return list(first.values())


def _answers(bound: Sequence[Put], noted: Sequence[Noted], stored: Mapping[int, Accepted]) -> list[Accepted]:
    """What is said of each put; `stored` has the broker's words on those that were not known, by their places."""
    first = {(bound[place].queue, bound[place].message.id): answer.sequence for place, answer in stored.items()}
    return [
        Accepted(
            note.id,
            stored[place].duplicate if place in stored else True,
            note.sequence if note.known else first[put.queue, note.id],
        )
        for place, (put, note) in enumerate(zip(bound, noted, strict=True))
    ]
