"""How long to wait before something is tried again: longer each time, and not at the same moment as everybody else."""

from __future__ import annotations

import random
from collections.abc import Iterator


def pauses(first_s: float = 0.1, longest_s: float = 10.0) -> Iterator[float]:
    """Seconds, for ever: twice as many each time up to longest_s, and up to half of that left out at random."""
    pause_s = first_s
    while True:
        yield pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        pause_s = min(2 * pause_s, longest_s)
