"""One promise of the port, and the list of all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from millrace.broker import (
    Capabilities,
)
from millrace.testing.bench import BrokerBench

FreshBroker = Callable[[], AbstractAsyncContextManager[BrokerBench]]
Run = Callable[[BrokerBench], Awaitable[None]]


class Check(msgspec.Struct, frozen=True):
    """One promise: how to test it, and the capabilities that it takes."""

    run: Run
    needs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The promise in a few words."""
        return self.run.__name__

    def applies(self, capabilities: Capabilities) -> bool:
        """Whether a broker claims what this tests."""
        return all(getattr(capabilities, need) for need in self.needs)


CHECKS: list[Check] = []


def check(*needs: str) -> Callable[[Run], Run]:
    """Add a check to the suite, run only where these capabilities are claimed."""

    def add(run: Run) -> Run:
        CHECKS.append(Check(run, needs))
        return run

    return add
