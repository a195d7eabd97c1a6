"""What people do with queues: count, look, move, purge. Messages are read by their places and not delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import msgspec

from millrace.broker import Peeked, Stats, dead_letters
from millrace.brokers.envelope import Envelope
from millrace.brokers.nats.api import FULL, Api, ApiError, Stored, nanoseconds, read
from millrace.brokers.nats.fence import Fence
from millrace.brokers.nats.intake import request_of
from millrace.brokers.nats.letters import without_origin
from millrace.brokers.nats.names import Place
from millrace.brokers.nats.notes import Note, Notes
from millrace.brokers.nats.queue import Held, NatsQueue
from millrace.brokers.nats.queues import NatsQueues
from millrace.brokers.nats.reading import MESSAGE_ID, envelope_in
from millrace.clock import Clock
from millrace.errors import QueueFull, UnknownQueue

_WINDOW = 256  # messages that are read at once


class Seen(msgspec.Struct, frozen=True):
    """A message in its queue, with its place as if it were delivered now."""

    stored: Stored
    place: Place
    peeked: Peeked


class People:
    """Looks at queues, and clears them up."""

    def __init__(self, api: Api, queues: NatsQueues, notes: Notes, fence: Fence, clock: Clock) -> None:
        self._api = api
        self._queues = queues
        self._notes = notes
        self._fence = fence
        self._clock = clock

    async def stats(self, queue: NatsQueue, waiting: int) -> Stats:
        """What the server counts: what was delivered is in flight, also while it waits for its next try."""
        consumer = await self._api.consumer(queue.stream)
        mine = await self._api.stream(queue.stream)
        try:
            dead = await self._count((await self._queues.named(dead_letters(queue.name))).stream)
        except UnknownQueue:
            dead = 0
        state = {} if mine is None else mine["state"]
        oldest_s = 0.0
        if state.get("messages"):
            first_s = nanoseconds(state["first_ts"]) / 1e9
            oldest_s = max(0.0, datetime.now(UTC).timestamp() - first_s)
        in_flight = max(0, consumer["num_ack_pending"] - waiting)
        return Stats(queue.name, consumer["num_pending"] + waiting, in_flight, 0, dead, oldest_s)

    async def peek(self, queue: NatsQueue, limit: int, ids: Sequence[str] | None) -> list[Peeked]:
        """Messages, oldest first, with what is known of them here and in the notes."""
        found: list[Peeked] = []
        if limit <= 0:
            return found
        wanted = None if ids is None else set(ids)
        async for each in self._all(queue, limit if ids is None else _WINDOW):
            if wanted is None or each.peeked.message.id in wanted:
                found.append(each.peeked)
            if len(found) == limit:
                break
        return found

    async def move(self, source: NatsQueue, target: NatsQueue, ids: Sequence[str] | None) -> int:
        """Copy messages that are not in flight into another queue, then delete them. Raises QueueFull on the way."""
        moved = 0
        async for chosen in self._idle(source, ids):
            requests = [
                request_of(
                    target, self._anew(each, target), {MESSAGE_ID: _moved_id(source, each)}, self._api.link.max_payload
                )
                for each in chosen
            ]
            stored = []
            full: ApiError | None = None
            for each, answer in zip(chosen, await self._api.link.ask_all(requests), strict=True):
                try:
                    read(answer, f"message {each.peeked.message.id}")
                    stored.append(each)
                except ApiError as error:
                    if error.number != FULL:
                        raise
                    full = error
            moved += await self._delete(source, stored)
            if full is not None:
                raise QueueFull(f"queue {target.name} is full; {moved} messages were moved", "move the rest later")
        return moved

    async def purge(self, queue: NatsQueue, ids: Sequence[str] | None, *, in_flight: bool) -> int:
        """Delete messages, those in flight only where that is said."""
        info = await self._api.stream(queue.stream)
        if ids is None and info is not None:
            consumer = await self._api.consumer(queue.stream)
            if in_flight or not consumer["num_ack_pending"]:
                await self._notes.mark(queue.stream, "purged", info["state"]["last_seq"])
                gone = await self._api.call(f"STREAM.PURGE.{queue.stream}", {"seq": info["state"]["last_seq"] + 1})
                queue.let_all_go()
                return int(gone["purged"])
        purged = 0
        async for chosen in self._idle(queue, ids, in_flight=in_flight):
            purged += await self._delete(queue, chosen)
        return purged

    async def _delete(self, queue: NatsQueue, chosen: Sequence[Seen]) -> int:
        """Delete messages, and let their ids be put again."""
        if not chosen:
            return 0
        await self._notes.mark(queue.stream, "purged", max(each.place.sequence for each in chosen))
        for each in chosen:
            queue.let_go(each.place.sequence)
        return sum(await self._api.delete(queue.stream, [each.place.sequence for each in chosen]))

    async def _idle(
        self, queue: NatsQueue, ids: Sequence[str] | None, *, in_flight: bool = False
    ) -> AsyncIterator[list[Seen]]:
        """The chosen messages that nobody has in hand, some at a time."""
        wanted = None if ids is None else set(ids)
        chosen: list[Seen] = []
        async for each in self._all(queue, _WINDOW):
            if (wanted is None or each.peeked.message.id in wanted) and (in_flight or each.peeked.state != "in_flight"):
                chosen.append(each)
            if len(chosen) == _WINDOW:
                yield chosen
                chosen = []
        if chosen:
            yield chosen

    async def _all(self, queue: NatsQueue, window: int) -> AsyncIterator[Seen]:
        """Every message that is there now, oldest first; gaps between them are leapt."""
        info = await self._api.stream(queue.stream)
        if info is None or not info["state"]["messages"]:
            return
        delivered = (await self._api.consumer(queue.stream))["delivered"]["stream_seq"]
        at, last = info["state"]["first_seq"], info["state"]["last_seq"]
        while at <= last:
            numbers = range(at, min(at + min(window, _WINDOW), last + 1))
            stored = [each for each in await self._api.at(queue.stream, numbers) if each is not None]
            at = numbers[-1] + 1
            for seen in await self._seen(queue, stored, delivered):
                yield seen
            if not stored:
                leap = await self._api.next(queue.stream, queue.subject, at)
                at = last + 1 if leap is None else leap.sequence

    async def _seen(self, queue: NatsQueue, stored: Sequence[Stored], delivered: int) -> list[Seen]:
        """What is known of each: undelivered, held here, noted; else it was delivered once, and somebody has it."""
        held = [Held(Place(each.sequence, 1, 0, each.stored_ns), b"", 0.0, 0.0) for each in stored]
        came = [each for each in held if each.place.sequence <= delivered]
        if came:
            await self._fence.look(queue, came)
        return [self._one(queue, each, mine, delivered) for each, mine in zip(stored, held, strict=True)]

    def _one(self, queue: NatsQueue, stored: Stored, held: Held, delivered: int) -> Seen:
        envelope, due_at = envelope_in(held.place, stored.headers, stored.body, queue.settings.ttl_s)
        note = None if held.noted is None or not held.noted.note.delivery else held.noted.note
        state, attempts = self._state(queue, held.place, note, due_at, delivered)
        peeked = Peeked(envelope.message, state, envelope.attempts + attempts, envelope.death)
        return Seen(stored, held.place, peeked)

    def _state(
        self, queue: NatsQueue, place: Place, note: Note | None, due_at: float, delivered: int
    ) -> tuple[str, int]:
        now = self._clock.now()
        lease = queue.holding(place.sequence)
        held = lease is not None and lease.expires_at > self._clock.monotonic()
        if note is None:
            if place.sequence > delivered or lease is not None:
                attempts = 0 if lease is None else 1
                return "in_flight" if held else "delayed" if due_at > now else "ready", attempts
            return "in_flight", 1
        attempts = note.delivery - note.uncounted
        if note.free:
            return "delayed" if note.hidden_until > now else "ready", attempts
        return "ready" if lease is not None and not held else "in_flight", attempts

    def _anew(self, each: Seen, target: NatsQueue) -> Envelope:
        """A message as if it were just put into another queue."""
        message, ttl_s = each.peeked.message, target.settings.ttl_s
        if each.peeked.death is not None:
            message = without_origin(message)
        envelope = Envelope(message)
        return envelope if ttl_s is None else Envelope(message, expires_at=self._clock.now() + ttl_s)

    async def _count(self, stream: str) -> int:
        info = await self._api.stream(stream)
        return 0 if info is None else int(info["state"]["messages"])


def _moved_id(source: NatsQueue, each: Seen) -> str:
    """The same message is moved once, however often a move that broke off is repeated."""
    return f"{source.stream} {each.place.id}"
