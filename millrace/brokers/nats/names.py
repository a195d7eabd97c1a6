"""What things are called in the server, and what a delivery's reply subject tells.

A queue is the subject of its own name and a stream; names of streams may hold no dots (JetStream's naming rules).
"""

from __future__ import annotations

import re

import msgspec

CONSUMER = "millrace"
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_MOST = 2**63


class Place(msgspec.Struct, frozen=True, order=True, gc=False):
    """One delivery of one message: its place in the stream, which delivery, and the message's time (Unix ns).

    The time tells a stream from another of its name that was there before. As a tuple it is a receipt.
    """

    sequence: int
    delivery: int
    consumer_sequence: int
    stored_ns: int

    @property
    def receipt(self) -> tuple[int, int, int, int]:
        """The fencing token."""
        return (self.sequence, self.delivery, self.consumer_sequence, self.stored_ns)

    @property
    def id(self) -> str:
        """The id of a message whose sender gave none."""
        return f"{self.sequence}-{self.stored_ns}"


def subject_of(prefix: str, queue: str) -> str:
    """The subject that a queue's messages are published to."""
    return prefix + ".".join(_ODD.sub(_escaped, token) or "=" for token in queue.split("."))


def stream_of(subject: str) -> str:
    """The stream of a queue's subject."""
    return subject.replace(".", "=2E")


def ack_subject(stream: str, place: Place) -> str:
    """Where a delivery is answered; rebuilt, so that a receipt is enough in any process."""
    return (
        f"$JS.ACK.{stream}.{CONSUMER}.{place.delivery}.{place.sequence}.{place.consumer_sequence}.{place.stored_ns}.0"
    )


def place_of(ack: bytes) -> Place:
    """What a delivery's reply subject tells, with or without the domain that servers may add. Raises ValueError."""
    words = ack.split(b".")
    at = 4 if len(words) == 9 else 6
    if len(words) <= at + 3:
        raise ValueError("not a delivery")
    delivery, sequence, consumer_sequence, stored_ns = map(int, words[at : at + 4])
    return Place(sequence, delivery, consumer_sequence, stored_ns)


def place_in(receipt: object) -> Place | None:
    """The place that a receipt means; None for what is no receipt of this broker."""
    if not isinstance(receipt, tuple) or len(receipt) != 4:
        return None
    if not all(type(number) is int and 0 <= number < _MOST for number in receipt):
        return None
    return Place(*receipt)


def _escaped(odd: re.Match[str]) -> str:
    return "".join(f"={byte:02X}" for byte in odd.group().encode())
