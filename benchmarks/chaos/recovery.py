"""How long a flow takes to come back after a fault: pure arithmetic on what was counted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

SHARE = 0.9
_WINDOW_S = 1.0


class Sample(msgspec.Struct, frozen=True):
    """How many were done at a moment (monotonic seconds)."""

    at: float
    done: int


def rate_at(samples: Sequence[Sample], at: float, window_s: float = _WINDOW_S) -> float:
    """Done a second over the window that ends at a moment; 0.0 where nothing was sampled."""
    inside = [sample for sample in samples if at - window_s <= sample.at <= at]
    if len(inside) < 2 or inside[-1].at <= inside[0].at:
        return 0.0
    return (inside[-1].done - inside[0].done) / (inside[-1].at - inside[0].at)


def recovery_s(
    samples: Sequence[Sample],
    fault_at: float,
    offered_per_s: float = math.inf,
    before_s: float = 5.0,
    *,
    away_s: float = 0.0,
) -> float | None:
    """Seconds from a fault to the end of the first window in which 90 % of the rate before it was done again.

    The rate before is the median of the windows of `before_s` seconds, at most what is offered: while a flow catches
    up with the fault before, it does more, and cannot again once it has. A fault that was never felt took 0.0 seconds;
    None says that the flow had not come back when the samples ended.
    """
    earlier = [rate_at(samples, sample.at) for sample in samples if fault_at - before_s <= sample.at <= fault_at]
    usual = min(offered_per_s, statistics.median(earlier)) if earlier else 0.0
    later = [sample.at for sample in samples if sample.at > fault_at]
    felt = [at for at in later if at <= fault_at + 2 * _WINDOW_S and rate_at(samples, at) < SHARE * usual]
    if not felt:
        return 0.0
    back = (at for at in later if at > max(felt[0], fault_at + away_s) and rate_at(samples, at) >= SHARE * usual)
    came = next(back, None)
    return None if came is None else came - fault_at
