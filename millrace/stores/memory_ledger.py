"""A ledger that lives as long as the process: for tests, and to read what a ledger must do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from millrace.clock import Clock, SystemClock
from millrace.store import CLOCKS_APART_S, Ledger, Noted
from millrace.stores.deliveries import delivery_of, ended
from millrace.types import Commit, Lease, Message, Outcome, Put, Record

_Place = tuple[str, str]  # queue, and id or key
_State = Literal["noted", "queued", "done", "dead"]


class MemoryParticipant(Protocol):
    """Takes its part of each commit: MemoryTables, MemoryResults."""

    def apply(self, commit: Commit) -> None:
        """Write what the commit holds for you."""
        ...


class _Entry:
    """What is known of a message until `expires_at`; `noted` means that its put may never have come."""

    def __init__(
        self, state: _State, expires_at: float, noted_at: float, *, sequence: int = 0, delivery: str = ""
    ) -> None:
        self.state: _State = state
        self.expires_at = expires_at
        self.noted_at = noted_at  # Unix seconds
        self.sequence = sequence
        self.delivery = delivery
        self.outputs: list[Put] = []


class _Key:
    """The message that is under a dedupe key until `expires_at`."""

    def __init__(self, id: str, expires_at: float) -> None:
        self.id = id
        self.expires_at = expires_at
        self.sequence: int | None = None  # until it is confirmed


class MemoryLedger(Ledger):
    """Entries in dicts; nothing is awaited inside a verb, so each is seen whole or not at all."""

    def __init__(self, clock: Clock | None = None, participants: Sequence[MemoryParticipant] = ()) -> None:
        self._clock = clock or SystemClock()
        self._participants = participants
        self._entries: dict[_Place, _Entry] = {}
        self._keys: dict[_Place, _Key] = {}

    async def note(self, puts: Sequence[Put], windows_s: Sequence[float]) -> list[Noted]:
        self._sweep()
        return [self._note(put, window_s) for put, window_s in zip(puts, windows_s, strict=True)]

    def _note(self, put: Put, window_s: float) -> Noted:
        until = self._clock.monotonic() + window_s
        id = put.message.id
        if put.dedupe:
            key = self._keys.setdefault((put.queue, put.dedupe), _Key(id, until))
            if key.sequence is not None:
                return Noted(key.id, True, key.sequence, by_key=True)
            id = key.id
        entry = self._entries.setdefault((put.queue, id), _Entry("noted", until, self._clock.now()))
        return Noted(id, entry.state != "noted", entry.sequence)

    async def confirm(self, puts: Sequence[Put], sequences: Sequence[int]) -> None:
        for put, sequence in zip(puts, sequences, strict=True):
            if entry := self._entries.get((put.queue, put.message.id)):
                entry.state = "queued" if entry.state == "noted" else entry.state
                entry.sequence = sequence or entry.sequence
            if key := self._keys.get((put.queue, put.dedupe)):
                key.sequence = sequence if key.sequence is None else key.sequence

    async def know(self, puts: Sequence[Put], sequences: Sequence[int], windows_s: Sequence[float]) -> None:
        for put, sequence, window_s in zip(puts, sequences, windows_s, strict=True):
            entry = _Entry("queued", self._clock.monotonic() + window_s, self._clock.now(), sequence=sequence)
            self._entries.setdefault((put.queue, put.message.id), entry)

    async def withdraw(self, puts: Sequence[Put]) -> None:
        for put in puts:
            entry, key = self._entries.get((put.queue, put.message.id)), self._keys.get((put.queue, put.dedupe))
            if entry and entry.state == "noted":
                del self._entries[put.queue, put.message.id]
            if key and key.sequence is None:
                del self._keys[put.queue, put.dedupe]

    async def unsent(self, queue: str, ids: Sequence[str]) -> dict[str, list[Put]]:
        self._sweep()
        found = {id: self._entries.get((queue, id)) for id in ids}
        return {id: list(entry.outputs) for id, entry in found.items() if entry and entry.state == "done"}

    async def write(self, commit: Commit, *, dedupe_s: float, dead_s: float) -> list[Lease]:
        self._sweep()
        fresh, late = [], []
        for outcome in ended(commit):
            entry = self._entries.get((commit.queue, outcome.lease.message.id))
            if entry is None or entry.state != "done":
                fresh.append(outcome)
            elif entry.delivery != delivery_of(outcome.lease):
                late.append(outcome.lease)
        for participant in self._participants:
            participant.apply(Commit(commit.queue, fresh))
        for outcome in fresh:
            place = commit.queue, outcome.lease.message.id
            before = self._entries.get(place)
            self._entries[place] = _Entry(
                "done" if outcome.verdict == "done" else "dead",
                self._clock.monotonic() + (dedupe_s if outcome.verdict == "done" else dead_s),
                before.noted_at if before else self._clock.now(),
                sequence=before.sequence if before else 0,
                delivery=delivery_of(outcome.lease),
            )
            self._entries[place].outputs = list(outcome.puts)
        return late

    async def sent(self, queue: str, ids: Sequence[str]) -> None:
        for id in ids:
            if entry := self._entries.get((queue, id)):
                entry.outputs = []

    async def bury(self, queue: str, records: Sequence[Record], *, dead_s: float) -> None:
        buried = []
        for record in records:
            entry = self._entries.get((queue, record.id))
            if entry is None or (record.accepted_at and entry.noted_at > record.accepted_at + CLOCKS_APART_S):
                continue
            if entry.state in ("noted", "queued"):
                entry.state, entry.expires_at = "dead", self._clock.monotonic() + dead_s
                buried.append(Outcome(Lease(queue, Message(record.id), "", 0, 0.0), "dead", record=record))
        for participant in self._participants:
            participant.apply(Commit(queue, buried))

    async def doubt(self, queue: str, ids: Sequence[str] | None) -> None:
        for entry in self._chosen(queue, ids).values():
            entry.state = "noted" if entry.state == "queued" else entry.state

    async def moved(
        self,
        source: str,
        target: str,
        ids: Sequence[str] | None,
        left: Sequence[str],
        *,
        dedupe_s: float,
        sure: bool,
        dead: bool,
    ) -> None:
        movable = ("dead",) if dead else ("noted", "queued")
        for id, entry in self._chosen(source, ids).items():
            if entry.state in movable and id not in left:
                del self._entries[source, id]
                moved = _Entry("noted", self._clock.monotonic() + dedupe_s, self._clock.now())
                there = self._entries.setdefault((target, id), moved)
                if there.state != "done":
                    there.state = "queued" if sure else "noted"

    async def forget(self, queue: str, ids: Sequence[str] | None, *, done: bool = False) -> None:
        for id, entry in self._chosen(queue, ids).items():
            if not done or entry.state == "done":
                del self._entries[queue, id]
        if ids is None and not done:
            for place in [place for place in self._keys if place[0] == queue]:
                del self._keys[place]

    async def expire(self, queue: str, ids: Sequence[str] | None, dedupe_s: float) -> None:
        until = self._clock.monotonic() + dedupe_s
        for entry in self._chosen(queue, ids).values():
            entry.expires_at = min(entry.expires_at, until) if entry.state == "dead" else entry.expires_at

    def _chosen(self, queue: str, ids: Iterable[str] | None) -> dict[str, _Entry]:
        wanted = [id for name, id in self._entries if name == queue] if ids is None else ids
        return {id: self._entries[queue, id] for id in wanted if (queue, id) in self._entries}

    def _sweep(self) -> None:
        """Forget what has expired."""
        now_s = self._clock.monotonic()
        for place in [place for place, entry in self._entries.items() if entry.expires_at <= now_s]:
            del self._entries[place]
        for place in [place for place, key in self._keys.items() if key.expires_at <= now_s]:
            del self._keys[place]
