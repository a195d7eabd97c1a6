"""The leases in our hands, renewed before they run out: here in the parent, which no user code can stop."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from millrace.broker import Broker
from millrace.clock import Clock
from millrace.errors import MillraceError
from millrace.flow.batcher import Batcher
from millrace.types import Lease

_log = logging.getLogger(__name__)


class Hold:
    """The leases of one batch. What lasts beyond `needed_until` (monotonic seconds) anyway is not renewed."""

    def __init__(self, leases: Sequence[Lease]) -> None:
        self.needed_until = math.inf
        self._leases = {lease.receipt: lease for lease in leases}

    @property
    def leases(self) -> list[Lease]:
        """As they are now."""
        return list(self._leases.values())

    def ending(self) -> list[Lease]:
        """Those that would run out too early."""
        return [lease for lease in self._leases.values() if lease.expires_at < self.needed_until]

    def renewed(self, leases: Sequence[Lease]) -> None:
        """Leases, of any batch, as they are now."""
        for lease in leases:
            if lease.receipt in self._leases:
                self._leases[lease.receipt] = lease


class LeaseKeeper:
    """Extends every held lease of one queue each third of `lease_s`, so that two renewals in a row may fail.

    Held are the batches under way, and what the batcher gathers for the next one.
    """

    def __init__(self, broker: Broker, batcher: Batcher, lease_s: float, clock: Clock) -> None:
        self._broker = broker
        self._batcher = batcher
        self._lease_s = lease_s
        self._clock = clock
        self._held: dict[int, Hold] = {}
        self._next = 0

    @contextmanager
    def holding(self, leases: Sequence[Lease]) -> Iterator[Hold]:
        """Keep these leases renewed inside the block."""
        self._next += 1
        number = self._next
        self._held[number] = hold = Hold(leases)
        try:
            yield hold
        finally:
            del self._held[number]

    async def run(self) -> None:
        """Renew until cancelled; a renewal that fails is tried again the next time, and settle finds what was lost."""
        while True:
            await self._clock.sleep(self._lease_s / 3)
            gathering = self._batcher.leases
            if leases := [*gathering, *(lease for hold in self._held.values() for lease in hold.ending())]:
                try:
                    renewed = await self._broker.extend(leases, self._lease_s)
                except MillraceError as error:
                    _log.warning("could not renew %d leases: %s", len(leases), error.problem)
                except Exception:  # whatever it is, the next renewal must not be missed for it
                    _log.exception("could not renew %d leases", len(leases))
                else:
                    self._batcher.renew(gathering, renewed)
                    for hold in self._held.values():
                        hold.renewed(renewed)
