"""The bodies in their bucket: written before their message is put, deleted after it is gone.

A put that was refused is mostly tried again soon, every 50 ms where a feeder waits for room. So its object is kept
for the repeat. Where the refusal left open whether the message is there after all, the object is never deleted here:
an object too many is swept up later, one too few would be a lost message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from millrace.brokers.claims.claim import Claim, object_key
from millrace.errors import MillraceError
from millrace.ids import new_id
from millrace.store import Bucket, ObjectInfo
from millrace.types import Message, Put

_AT_ONCE = 8
_MOST_SPARES = 16
_log = logging.getLogger(__name__)


class Written(msgspec.Struct, frozen=True, gc=False):
    """An object made for a put; `sure` when no message but that put's can refer to it."""

    put: Put
    key: str
    sure: bool


class Spare(msgspec.Struct, frozen=True, gc=False):
    """An object whose put was refused."""

    digest: bytes
    key: str
    sure: bool


class Bodies:
    """One bucket of bodies."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._spares: dict[tuple[str, str], Spare] = {}

    async def write(self, puts: Iterable[Put]) -> list[Written]:
        """Make an object for each put; when one cannot be written, none stays and its error is raised."""
        answers = await asyncio.gather(*(self._write(put) for put in puts), return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        written = [answer for answer in answers if isinstance(answer, Written)]
        if errors:
            await self.delete(each.key for each in written if each.sure)
            raise errors[0]
        return written

    async def store(self, message: Message, mark: str) -> str:
        """Make an object under a mark that a repeat will use again; its key."""
        key = object_key(message.id, mark)
        async with self._gate:
            await self._bucket.put(key, message.body)
        return key

    async def keep(self, written: Iterable[Written], *, sure: bool) -> None:
        """Keep the objects of refused puts for their repeats; `sure` when their messages are surely not there."""
        for each in written:
            spare = Spare(await _digest(each.put.message.body), each.key, sure and each.sure)
            if (other := self._spares.pop(_name(each.put), None)) is not None:
                await self._drop(other)
            self._spares[_name(each.put)] = spare
        while len(self._spares) > _MOST_SPARES:
            await self._drop(self._spares.pop(next(iter(self._spares))))

    async def read(self, claim: Claim) -> bytes | MillraceError | None:
        """A body, None when it is gone, or why it cannot be read."""
        async with self._gate:
            try:
                return await self._bucket.get(claim.key)
            except MillraceError as error:
                return error

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that cannot be is left to the sweep, since its message is settled."""
        await asyncio.gather(*(self._delete(key) for key in keys))

    async def listed(self) -> list[ObjectInfo]:
        """All objects; raises StorageError."""
        return [info async for info in self._bucket.list()]

    async def close(self) -> None:
        """Delete what was kept for repeats."""
        while self._spares:
            await self._drop(self._spares.popitem()[1])

    async def _write(self, put: Put) -> Written:
        spare = self._spares.pop(_name(put), None)
        if spare is not None:
            if spare.digest == await _digest(put.message.body):
                return Written(put, spare.key, spare.sure)
            await self._drop(spare)
        return Written(put, await self.store(put.message, new_id()), sure=True)

    async def _drop(self, spare: Spare) -> None:
        if spare.sure:
            await self._delete(spare.key)

    async def _delete(self, key: str) -> None:
        async with self._gate:
            try:
                await self._bucket.delete(key)
            except MillraceError as error:
                _log.warning("the body %s is of no more use but could not be deleted: %s", key, error)


def _name(put: Put) -> tuple[str, str]:
    return put.queue, put.message.id


async def _digest(body: bytes) -> bytes:
    return await asyncio.to_thread(lambda: blake2b(body, digest_size=16).digest())
