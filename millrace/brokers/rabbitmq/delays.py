"""How long a message waits, as a path through queues that each hold for a fixed time.

RabbitMQ holds a message for as long as its queue says (`x-message-ttl`) and then moves it on, but looks at a queue's
head alone: messages with times of their own in one queue would wait for each other. So the delay is written in digits
of base 4, of 16 ms each at the lowest place, and there is one queue for each place and digit: 42 at most, made when
they are first needed, shared by all queues. A message visits those of its digits that are not 0. It has at most four
such digits, rounded up: at most four moves, and no more than 3.2 % too long (below 1 s, 16 ms).

    exchange 13 ──3.#──▶ queue 13.3 ──▶ exchange 12 ──▶ ... ──▶ exchange "due" ──▶ the message's queue
         └──────0.#────────────────────────▲

The digits and the queue's name are the routing key, which RabbitMQ keeps while it moves a message.
"""

from __future__ import annotations

import math

PLACES = 14
QUANTUM_MS = 16
LONGEST_S = 63 * 4 ** (PLACES - 3) * QUANTUM_MS / 1000  # 48.9 days: RabbitMQ's times end at 2^32 ms
_EXCHANGE = "millrace.delay"


def digits(delay_s: float) -> list[int]:
    """The delay in base 4, highest place first, rounded up to three digits, or four where the first is 1.

    Raises ValueError beyond LONGEST_S.
    """
    units = max(1, math.ceil(round(delay_s * 1000 / QUANTUM_MS, 6)))
    places = (units.bit_length() + 1) // 2
    leading = units >> 2 * (places - 1)
    coarse = 4 ** max(0, places - (4 if leading == 1 else 3))
    units = math.ceil(units / coarse) * coarse
    if units >= 4**PLACES:
        raise ValueError(f"a delay of {delay_s:.0f} s is longer than {LONGEST_S:.0f} s")
    return [units >> 2 * place & 3 for place in reversed(range(PLACES))]


def stops(path: list[int]) -> list[tuple[int, int]]:
    """The queues that a delay visits, as (place, digit), in order."""
    return [(PLACES - 1 - index, digit) for index, digit in enumerate(path) if digit]


def hold_ms(place: int, digit: int) -> int:
    """How long the queue of a place and digit holds a message."""
    return digit * QUANTUM_MS << 2 * place


def routing_key(path: list[int], queue: str) -> str:
    """The words by which the exchanges pass a message on."""
    return ".".join(map(str, path)) + "." + queue


def pattern(place: int, digit: int) -> str:
    """What the exchange of a place binds for a digit."""
    return "*." * (PLACES - 1 - place) + f"{digit}.#"


def due_pattern(queue: str) -> str:
    """What the exchange `due` binds for a queue, whatever the digits were."""
    return "*." * PLACES + queue


def exchange_name(prefix: str, place: int) -> str:
    """The exchange of a place; that below the lowest is `due`."""
    return f"{prefix}{_EXCHANGE}.{place if place >= 0 else 'due'}"


def queue_name(prefix: str, place: int, digit: int) -> str:
    """The queue that holds for a digit of a place."""
    return f"{prefix}{_EXCHANGE}.{place}.{digit}"


def is_delay(prefix: str, name: object) -> bool:
    """Whether a name that the broker gave is of one of these queues."""
    return isinstance(name, str) and name.startswith(f"{prefix}{_EXCHANGE}.")
