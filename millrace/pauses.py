"""How long to wait before something is tried again: longer each time, and not at the same moment as everybody else."""

from __future__ import annotations

import random
from collections.abc import Iterator


def pauses(first_s: float = 0.1, longest_s: float = 10.0) -> Iterator[float]:
    """Seconds, for ever: twice as many each time up to longest_s, spread."""
    pause_s = first_s
    while True:
        yield spread(pause_s)
        pause_s = min(2 * pause_s, longest_s)


def spread(pause_s: float) -> float:
    """The pause with up to half of it left out at random."""
    return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
