"""Notes on messages that were delivered more than once, or given back: what JetStream does not remember of them.

JetStream counts deliveries, but takes the ack of an old one for that of the newest. So whoever gets a message for the
second time writes down which delivery it holds, by compare-and-set; whoever is late reads it there. Messages that are
delivered once and settled in time, which is nearly all, have no note and cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millrace.brokers.nats.api import WRONG_SEQUENCE, Api, ApiError, read
from millrace.brokers.nats.asked import Request
from millrace.brokers.nats.wire import head_of, pub

_KEPT_S = 14 * 86400.0  # what a crash leaves of notes goes by itself; a longer-lived message only counts more attempts
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one message; times are Unix seconds.

    `stored_ns` tells which message at that place is meant. `delivery` is the last that anybody held, `free` whether it
    was given back. `hidden_until` is when the next may be taken: a retry's delay, or a lease that was renewed late.
    """

    stored_ns: int
    delivery: int
    uncounted: int = 0
    free: bool = False
    retried: bool = False
    hidden_until: float = 0.0
    first_failed_at: float = 0.0


class Noted(msgspec.Struct, frozen=True, gc=False):
    """A note and its place among the notes, 0 where there is none yet."""

    sequence: int
    note: Note


class Notes:
    """One stream of notes for all queues, the last for each message kept."""

    def __init__(self, api: Api, prefix: str, replicas: int) -> None:
        self._api = api
        self.subject = f"{prefix}~notes"
        self.stream = self.subject.replace(".", "=2E")
        self._config = {
            "name": self.stream,
            "description": "millrace: what was given back or delivered twice",
            "subjects": [f"{self.subject}.>"],
            "storage": "file",
            "max_msgs_per_subject": 1,
            "max_age": int(_KEPT_S * 1e9),
            "allow_direct": True,
            "num_replicas": replicas,
        }

    async def open(self) -> None:
        """Make the stream."""
        await self._api.call(f"STREAM.CREATE.{self.stream}", self._config)

    async def read(self, stream: str, places: Sequence[tuple[int, int]]) -> list[Noted | None]:
        """The notes on messages, each given by its place and its time (ns)."""
        subjects = [self._subject(stream, sequence) for sequence, _ in places]
        found: list[Noted | None] = []
        for stored, (_, stored_ns) in zip(await self._api.last(self.stream, subjects), places, strict=True):
            note = None if stored is None else msgspec.json.decode(stored.body, type=Note)
            if stored is None or note is None or note.stored_ns != stored_ns:
                found.append(None if stored is None else Noted(stored.sequence, Note(stored_ns, 0)))
            else:
                found.append(Noted(stored.sequence, note))
        return found

    async def write(self, stream: str, changes: Sequence[tuple[int, Noted]]) -> list[Noted | None]:
        """Write notes, each on the message at a place and instead of the note there; None where that has changed."""
        requests = [
            Request(
                self._subject(stream, sequence),
                msgspec.json.encode(noted.note),
                head_of({_EXPECTED: str(noted.sequence)}),
            )
            for sequence, noted in changes
        ]
        written: list[Noted | None] = []
        for answer, (sequence, noted) in zip(await self._api.link.ask_all(requests), changes, strict=True):
            try:
                written.append(Noted(read(answer, "a note")["seq"], noted.note))
            except ApiError as error:
                if error.number != WRONG_SEQUENCE:
                    raise
                # Where a lost connection made us write twice, the note in the way may be our own.
                (there,) = await self.read(stream, [(sequence, noted.note.stored_ns)]) if answer.repeated else (None,)
                written.append(there if there is not None and there.note == noted.note else None)
        return written

    async def drop(self, stream: str) -> None:
        """Forget all notes on a queue's messages, and remember that it was dropped by us."""
        await self._api.call(f"STREAM.PURGE.{self.stream}", {"filter": f"{self.subject}.{stream}.>"})
        await self.mark(stream, "dropped", 0)

    async def declared(self, stream: str) -> None:
        """A stream that was made anew: what was noted of the one before is about other messages."""
        await self._api.call(f"STREAM.PURGE.{self.stream}", {"filter": f"{self.subject}.{stream}.>"})

    async def mark(self, stream: str, name: str, value: int) -> None:
        """Note something of the whole queue."""
        answer = await self._api.link.ask(f"{self.subject}.{stream}.{name}", b"%d" % value)
        read(answer, "a note")

    async def marked(self, stream: str, name: str) -> int | None:
        """What `mark` noted; None when nothing was."""
        (stored,) = await self._api.last(self.stream, [f"{self.subject}.{stream}.{name}"])
        return None if stored is None else int(stored.body)

    def forgetting(self, noted: Sequence[Noted]) -> list[bytes]:
        """Commands that delete notes on messages that are gone; nobody waits for their answers."""
        subject = f"$JS.API.STREAM.MSG.DELETE.{self.stream}"
        nobody = self._api.link.nobody
        return [pub(subject, b'{"seq":%d,"no_erase":true}' % each.sequence, nobody) for each in noted]

    def _subject(self, stream: str, sequence: int) -> str:
        return f"{self.subject}.{stream}.{sequence}"
