"""A queue as this process knows it: its settings, its names in the server, and the leases that are held here."""

from __future__ import annotations

import msgspec

from millrace.broker import DEAD_SUFFIX, Queue
from millrace.brokers.nats.names import Place, stream_of, subject_of
from millrace.brokers.nats.notes import Noted

_REMEMBERED_S = 60.0  # a lease that ran out may still be settled; after that the server is asked instead
_MARGIN = 0.05  # of a lease: too near its end to be sure that the server hears of us in time
_LONGEST_MARGIN_S = 0.25


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A message as it came: its place, where it is answered, and since when (monotonic seconds) it surely is leased."""

    place: Place
    ack: bytes
    head: bytes
    body: bytes
    since: float


class Held(msgspec.Struct, gc=False):
    """A lease that is held here. `sure_until` and `expires_at` are monotonic seconds.

    `freed`: we have noted that it is given back, and JetStream may not have been told.
    """

    place: Place
    ack: bytes
    expires_at: float
    sure_until: float
    noted: Noted | None = None
    freed: bool = False


class NatsQueue:
    """One queue."""

    def __init__(self, settings: Queue, prefix: str) -> None:
        self.settings = settings
        self.subject = subject_of(prefix, settings.name)
        self.stream = stream_of(self.subject)
        self.is_dead = settings.name.endswith(DEAD_SUFFIX)
        self._held: dict[int, Held] = {}

    @property
    def name(self) -> str:
        """The queue's name as the project has it."""
        return self.settings.name

    def hold(self, delivery: Delivery, since: float, lease_s: float, noted: Noted | None) -> Held:
        """Remember a lease; another of the same message is over with it."""
        held = Held(delivery.place, delivery.ack, 0.0, 0.0, noted)
        renew(held, since, lease_s)
        self.hold_again(held)
        return held

    def hold_again(self, held: Held) -> None:
        """Remember a lease, as the youngest."""
        self._held.pop(held.place.sequence, None)
        self._held[held.place.sequence] = held

    def held(self, place: Place) -> Held | None:
        """The lease of a delivery, None when it is not held here."""
        found = self._held.get(place.sequence)
        return found if found is not None and found.place == place else None

    def holding(self, sequence: int) -> Held | None:
        """The lease that is held here on the message at a place, if any."""
        return self._held.get(sequence)

    def overtaken(self, place: Place) -> bool:
        """Whether a later delivery of the message is held here."""
        found = self._held.get(place.sequence)
        return found is not None and found.place.stored_ns == place.stored_ns and found.place > place

    def let_go(self, sequence: int) -> None:
        """Forget a lease that was settled."""
        self._held.pop(sequence, None)

    def let_all_go(self) -> None:
        """Forget all leases: the queue is not there any more."""
        self._held.clear()

    def sweep(self, now_s: float) -> None:
        """Forget, from the oldest on, leases that ran out a while ago: memory must stay flat."""
        while self._held:
            sequence, oldest = next(iter(self._held.items()))
            if oldest.expires_at + _REMEMBERED_S > now_s:
                return
            del self._held[sequence]


def renew(held: Held, since: float, lease_s: float) -> None:
    """Let a lease last for that long since a moment (monotonic seconds)."""
    held.expires_at = since + lease_s
    held.sure_until = held.expires_at - min(_MARGIN * lease_s, _LONGEST_MARGIN_S)
