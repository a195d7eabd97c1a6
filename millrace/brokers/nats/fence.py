"""Whose a message is: sure by the clock while a lease runs, else by its note, which only one of two can write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from millrace.brokers.nats.api import NO_REPLY, Api
from millrace.brokers.nats.asked import Answer, Cut
from millrace.brokers.nats.names import Place, ack_subject
from millrace.brokers.nats.notes import Note, Noted, Notes
from millrace.brokers.nats.queue import Delivery, Held, NatsQueue, renew
from millrace.brokers.nats.wire import status_in
from millrace.clock import Clock
from millrace.errors import BrokerError

_MOST_TRIES = 20
_DELETED_AT_ONCE = 1000

Change = Callable[[Held, Note], Note | None]
"""What a note becomes; None where the message is not ours to note on."""


class Fence:
    """Finds leases that are still ours, and gives deliveries back."""

    def __init__(self, api: Api, notes: Notes, clock: Clock) -> None:
        self._api = api
        self._notes = notes
        self._clock = clock

    async def ours(self, queue: NatsQueue, places: Sequence[Place], lease_s: float) -> dict[Place, Held]:
        """The leases that are ours, for lease_s at least where that was in doubt; those that are missing are lost."""
        found: dict[Place, Held] = {}
        doubtful: list[Place] = []
        now_s = self._clock.monotonic()
        for place in places:
            held = queue.held(place)
            if held is not None and now_s < held.sure_until:
                found[place] = held
            elif not queue.overtaken(place):
                doubtful.append(place)
        if doubtful:
            found |= {each.place: each for each in await self.renew(queue, doubtful, lease_s)}
        return found

    async def renew(self, queue: NatsQueue, places: Sequence[Place], lease_s: float) -> list[Held]:
        """Those leases whose message nobody got since, hidden for lease_s by their notes: JetStream may give it now."""
        stored = await self._api.at(queue.stream, [place.sequence for place in places])
        held = []
        for place, message in zip(places, stored, strict=True):
            if message is None or message.stored_ns != place.stored_ns:
                continue
            mine = queue.held(place)
            if mine is None:
                ack = ack_subject(queue.stream, place).encode()
                mine = Held(place, ack, 0.0, 0.0)
            held.append(mine)
        await self.look(queue, held)
        now_s, until = self._clock.monotonic(), self._clock.now() + lease_s

        def hide(each: Held, note: Note) -> Note | None:
            return msgspec.structs.replace(note, delivery=each.place.delivery, hidden_until=until)

        ours = await self.change(queue, held, if_ours(hide))
        for each in ours:
            queue.hold_again(each)
            renew(each, now_s, lease_s)
        return ours

    async def look(self, queue: NatsQueue, held: Sequence[Held]) -> None:
        """Read the notes on these messages."""
        seen = await self._notes.read(queue.stream, [(each.place.sequence, each.place.stored_ns) for each in held])
        for each, noted in zip(held, seen, strict=True):
            each.noted = noted

    async def change(self, queue: NatsQueue, held: Sequence[Held], how: Change) -> list[Held]:
        """Change the note on each message, as it is when nobody else changes it; those that were changed."""
        left, done = list(held), []
        for _ in range(_MOST_TRIES):
            ready, notes = [], []
            for each in left:
                note = how(each, _note(each))
                if note is not None:
                    ready.append(each)
                    notes.append((each.place.sequence, Noted(each.noted.sequence if each.noted else 0, note)))
            left = []
            for each, written in zip(ready, await self._notes.write(queue.stream, notes), strict=True):
                if written is None:
                    left.append(each)
                else:
                    each.noted = written
                    done.append(each)
            if not left:
                return done
            await self.look(queue, left)
        raise BrokerError(f"queue {queue.name}: the notes on {len(left)} messages keep changing", "try again")

    async def give_back(self, queue: NatsQueue, deliveries: Sequence[Delivery], until: float = 0.0) -> None:
        """Give back what nobody shall run now, uncounted, hidden until a time (Unix seconds); once is enough."""
        held = [Held(each.place, each.ack, 0.0, 0.0) for each in deliveries]
        await self.look(queue, held)

        def uncount(each: Held, note: Note) -> Note | None:
            if (note.delivery, note.free) >= (each.place.delivery, True):
                return None  # JetStream would take it from whoever got it since
            note = msgspec.structs.replace(note, uncounted=note.uncounted + 1)
            if note.delivery and not note.free and note.hidden_until:
                return note  # a lease that was renewed late stays with whoever holds it
            hidden_until = until or note.hidden_until
            return msgspec.structs.replace(note, delivery=each.place.delivery, free=True, hidden_until=hidden_until)

        now = self._clock.now()
        noted = sorted(await self.change(queue, held, uncount), key=lambda each: each.place.sequence)
        await self.answer(queue, [(each, nak(_note(each).hidden_until - now)) for each in noted])

    async def answer(self, queue: NatsQueue, verdicts: Sequence[tuple[Held, bytes]]) -> None:
        """Tell JetStream, and return when it has taken notice of all: the last one is asked to be confirmed.

        A consumer takes notice in the order of arrival; a lost connection has all of them said again.
        """
        if not verdicts:
            return
        *others, (last, word) = verdicts
        confirmed: Answer | None = None
        while confirmed is None or confirmed.repeated:
            await self._api.link.up()
            with suppress(Cut):
                await self._api.link.send([answer(held.ack, verdict) for held, verdict in others])
                confirmed = await self._api.link.ask(last.ack.decode(), word)
        if status_in(confirmed.head)[0] == NO_REPLY:  # the consumer is gone; what is done must not come again
            done = [held.place.sequence for held, verdict in verdicts if verdict == b"+ACK"]
            for at in range(0, len(done), _DELETED_AT_ONCE):
                await self._api.delete(queue.stream, done[at : at + _DELETED_AT_ONCE])

    async def forget(self, gone: Sequence[Held]) -> None:
        """Delete the notes on messages that are gone."""
        if noted := [each.noted for each in gone if each.noted is not None]:
            await self._api.link.send(self._notes.forgetting(noted))


def if_ours(how: Change) -> Change:
    """A change that only the last holder of a message makes."""

    def change(held: Held, note: Note) -> Note | None:
        return None if (note.delivery, note.free) > (held.place.delivery, False) else how(held, note)

    return change


def nak(delay_s: float) -> bytes:
    """Give it to somebody else, after a delay: what JetStream has for a lease of any length."""
    return b"-NAK" if delay_s <= 0 else b'-NAK {"delay":%d}' % (delay_s * 1e9)


def answer(ack: bytes, verdict: bytes) -> bytes:
    """The command that answers a delivery."""
    return b"PUB %s %d\r\n%s\r\n" % (ack, len(verdict), verdict)


def _note(held: Held) -> Note:
    return Note(held.place.stored_ns, 0) if held.noted is None else held.noted.note
