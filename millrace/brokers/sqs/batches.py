"""Entries of a batch action, ten in a request and several requests at once, each entry with an answer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from millrace.brokers.sqs.client import PATIENCE_S, Client
from millrace.brokers.sqs.fault import Fault, entry_fault
from millrace.brokers.sqs.queue import MAX_BYTES
from millrace.clock import Clock
from millrace.errors import BrokerError

MOST = 10  # entries of a request, and messages of a receive
AT_ONCE = 8
_FIRST_PAUSE_S = 0.1

Json = dict[str, Any]
Answer = Json | Fault | BrokerError


class Batches:
    """Sends entries; those that failed for a reason that passes are sent again, alone."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(
        self, action: str, url: str, entries: Sequence[Json], sizes: Sequence[int] = (), *, in_order: bool = False
    ) -> list[Answer]:
        """What became of each entry; `sizes` are its bytes. In order, a request waits for the one before it."""
        gate = asyncio.Semaphore(1 if in_order else AT_ONCE)

        async def one(places: Sequence[int]) -> dict[int, Answer]:
            async with gate:
                return await self._insisted(action, url, {place: entries[place] for place in places})

        found: dict[int, Answer] = {}
        for part in await asyncio.gather(*(one(places) for places in _parts(len(entries), sizes))):
            found |= part
        return [found[place] for place in range(len(entries))]

    async def _insisted(self, action: str, url: str, entries: dict[int, Json]) -> dict[int, Answer]:
        """One request, again with what failed of it until nothing is left that time could mend."""
        give_up_at, pause_s = self._clock.monotonic() + PATIENCE_S, _FIRST_PAUSE_S
        found: dict[int, Answer] = {}
        while left := {place: entry for place, entry in entries.items() if _may_pass(found.get(place))}:
            if found:
                if self._clock.monotonic() + pause_s > give_up_at:
                    break
                await self._clock.sleep(pause_s)
                pause_s *= 2
            found |= await self._request(action, url, left)
        return found

    async def _request(self, action: str, url: str, entries: dict[int, Json]) -> dict[int, Answer]:
        places = list(entries)
        numbered = [{"Id": str(number), **entries[place]} for number, place in enumerate(places)]
        try:
            told = await self._client.call(action, {"QueueUrl": url, "Entries": numbered})
        except (Fault, BrokerError) as error:
            return dict.fromkeys(entries, error)
        answers: dict[str, Answer] = {each["Id"]: each for each in told.get("Successful") or ()}
        answers |= {each["Id"]: entry_fault(each) for each in told.get("Failed") or ()}
        missing = Fault("NoAnswer", "the answer to a batch leaves this entry out", sender=False)
        return {place: answers.get(str(number), missing) for number, place in enumerate(places)}


def _may_pass(answer: Answer | None) -> bool:
    return answer is None or (isinstance(answer, Fault) and answer.passing)


def _parts(count: int, sizes: Sequence[int]) -> Iterator[list[int]]:
    """Places of entries that travel together: ten, and within the bytes of a request."""
    part: list[int] = []
    held = 0
    for place in range(count):
        size = sizes[place] if sizes else 0
        if part and (len(part) == MOST or held + size > MAX_BYTES):
            yield part
            part, held = [], 0
        part.append(place)
        held += size
    if part:
        yield part
