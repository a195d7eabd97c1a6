"""RabbitMQ against a model of what it claims: Hypothesis looks for steps that lose, repeat or miscount a message.

The model of millrace.testing.machine asks for what RabbitMQ cannot do (known ids, exact counts, looks that count
nothing). Leases are the adapter's own, so their time is moved by hand; RabbitMQ's own is not part of this. When it
delivers is its own affair, so what is drawn depends on nothing that it answered: steps that find no lease do nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from millrace.broker import Queue, dead_letters
from millrace.brokers.rabbitmq import open_broker
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Commit, Lease, Message, Put, Verdict
from tests.services import service

T = TypeVar("T")
_LEASE_S = 10.0
_PATIENCE_S = 60.0
_ANY = st.integers(0, 11)  # a lease, counted round and round


class Machine(RuleBasedStateMachine):
    """Two processes that share a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        url = f"{service('rabbitmq')}?prefix=m{secrets.token_hex(4)}."
        self.brokers = [self.run(open_broker(url, clock=self.clock)) for _ in range(2)]
        for broker in self.brokers:
            self.run(broker.declare([Queue("q", _LEASE_S, max_receives=None)]))
        self.attempts: dict[str, int] = {}  # of each message that is to come again
        self.leases: list[tuple[int, Lease, float]] = []  # which process's, and until when it surely holds
        self.dead = 0
        self.count = 0

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(doing, _PATIENCE_S))

    @rule(count=st.integers(1, 5), which=st.integers(0, 1))
    def put(self, count: int, which: int) -> None:
        ids = [f"m{self.count + number}" for number in range(count)]
        self.count += count
        self.run(self.brokers[which].put([Put("q", Message(id, id.encode())) for id in ids]))
        self.attempts.update(dict.fromkeys(ids, 0))

    @rule(limit=st.integers(1, 4), which=st.integers(0, 1))
    def take(self, limit: int, which: int) -> None:
        leases = self.run(self.brokers[which].take("q", limit))
        self._hold(which, leases)

    def _hold(self, which: int, leases: list[Lease]) -> None:
        now = self.clock.monotonic()
        for lease in leases:
            id = lease.message.id
            held = [until for _, other, until in self.leases if other.message.id == id and until > now]
            assert not held, f"{id} is leased until {held}, and was given again"
            assert lease.attempt == self.attempts[id] + 1, f"expected attempt {self.attempts[id] + 1}, got {lease}"
            self.attempts[id] += 1
            self.leases = [each for each in self.leases if each[1].message.id != id]
            self.leases.append((which, lease, now + _LEASE_S))

    @rule(number=_ANY, verdict=st.sampled_from(["done", "retry", "dead", "release"]))
    def settle(self, number: int, verdict: Verdict) -> None:
        if not self.leases:
            return
        which, lease, until = self.leases.pop(number % len(self.leases))
        lost = self.run(self.brokers[which].settle(Commit("q", [outcome(lease, verdict)])))
        if lost:
            assert until <= self.clock.monotonic(), f"{lease} was lost before its time"
            return
        id = lease.message.id
        if verdict in ("done", "dead"):
            del self.attempts[id]
            self.dead += verdict == "dead"
        elif verdict == "release":
            self.attempts[id] -= 1
        again = self.run(self.brokers[which].settle(Commit("q", [outcome(lease, "done")])))
        assert again == [lease], "a lease ended twice"

    @rule(number=_ANY)
    def extend(self, number: int) -> None:
        if not self.leases:
            return
        index = number % len(self.leases)
        which, lease, until = self.leases[index]
        extended = self.run(self.brokers[which].extend([lease], _LEASE_S))
        assert extended or until <= self.clock.monotonic(), f"{lease} was lost before its time"
        if extended:
            self.leases[index] = (which, lease, self.clock.monotonic() + _LEASE_S)

    @rule(seconds=st.sampled_from([1.0, 3.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run(asyncio.sleep(0.01))

    def teardown(self) -> None:
        """All that was not settled comes, and nothing else."""
        self.run(self._finish())
        self.loop.close()

    async def _finish(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while self.attempts:
                self.clock.advance(_LEASE_S)
                await asyncio.sleep(0.01)
                for which, broker in enumerate(self.brokers):
                    leases = await broker.take("q", 100)
                    self._hold(which, leases)
                    lost = await broker.settle(Commit("q", [outcome(lease) for lease in leases]))
                    for lease in leases:
                        assert lease not in lost
                        del self.attempts[lease.message.id]
        first, second = self.brokers
        assert len(await first.peek(dead_letters("q"), 1000)) == self.dead
        await second.close()
        await first.drop(["q"])
        await first.close()


def test_rabbitmq_machine() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max(5, settings().max_examples // 8),
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
