"""What a fleet's run under fire came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.chaos.audit import Counted

BACK_WITHIN_S = 10.0


class Struck(msgspec.Struct, frozen=True):
    """A fault that was made, and the seconds until the flow was back, None when it did not come back.

    In the first `away_s` of them there was no broker: it took so long to start.
    """

    fault: str
    recovery_s: float | None
    away_s: float = 0.0

    @property
    def own_s(self) -> float | None:
        """The part of the recovery in which there was a broker."""
        return None if self.recovery_s is None else max(0.0, self.recovery_s - self.away_s)


class Survived(msgspec.Struct, frozen=True):
    """One broker's run."""

    broker: str
    settings: str
    counted: Counted
    struck: Sequence[Struck]
    refusals: Mapping[str, int]
    exit_codes: Sequence[int]

    @property
    def passed(self) -> bool:
        """Nothing lost, no effect twice, and back after every fault within ten seconds with a broker."""
        back = all(each.own_s is not None and each.own_s < BACK_WITHIN_S for each in self.struck)
        return not (self.counted.lost or self.counted.effects_twice) and back

    @property
    def slowest_s(self) -> float | None:
        """The longest recovery with a broker, None when the flow did not come back after some fault."""
        times = [each.own_s for each in self.struck]
        return None if None in times else max((time for time in times if time is not None), default=0.0)
