"""NATS JetStream against the suite and the model, on a real server and in real time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from millrace.brokers.nats import open_broker
from millrace.brokers.nats.broker import NatsBroker
from millrace.testing.bench import BrokerBench
from millrace.testing.broker import CHECKS, Check
from millrace.testing.machine import broker_machine
from tests.conformance.broker_parts import bench_at, paced
from tests.conformance.real_time import run_in_real_time
from tests.services import service

_UNIT_S = 0.15
_PATIENT = {  # names of checks that are run together, since each of them waits for seconds
    "a_lease_that_runs_out_gives_the_message_again",
    "a_handle_is_enough",
    "a_letter_lives_by_its_own_queue",
    "a_message_that_outlives_its_receives_is_lost",
    "dead_letters_may_go_to_another_queue",
    "dead_letters_stay",
    "a_lease_may_have_a_time_of_its_own",
    "a_lease_survives",
    "a_lease_knows_its_standing",
    "a_lost_lease_does_not_harm_its_batch",
    "a_queue_may_delay",
    "an_expired_lease_that_nobody_took_still_counts",
    "an_expired_message_dies",
    "an_old_receipt_does_nothing",
    "extend_renews_from_now",
    "purge_may_take_what_is_in_flight",
    "wait_knows_when_a_lease_runs_out",
    "what_was_accepted_survives",
}
_UNCLAIMED = {"transactional", "fifo", "dedupe"}  # the rest holds as far as one process can tell


def nats(unit_s: float = _UNIT_S) -> AbstractAsyncContextManager[BrokerBench]:
    """An empty broker under a prefix of its own."""
    return bench_at(f"{service('nats')}?prefix=t{secrets.token_hex(6)}.", open_broker, unit_s, paced(unit_s))


PASSING = [check for check in CHECKS if not _UNCLAIMED & set(check.needs)]


@pytest.mark.parametrize("check", [pytest.param(each, id=each.name) for each in PASSING if each.name not in _PATIENT])
async def test_nats(check: Check) -> None:
    await run_in_real_time(nats, check.run, _UNIT_S)


async def test_nats_when_time_passes() -> None:
    """The checks that let much of it pass, at the same time."""

    async with asyncio.TaskGroup() as group:
        for check in PASSING:
            if check.name in _PATIENT:
                group.create_task(run_in_real_time(nats, check.run, 2 * _UNIT_S), name=check.name)


def test_what_is_claimed_is_among_them() -> None:
    assert all(check in PASSING for check in CHECKS if check.applies(NatsBroker.capabilities))


@asynccontextmanager
async def slow_nats() -> AsyncIterator[BrokerBench]:
    """The same with units so long that what the test itself does fits into one."""
    async with nats(0.25) as bench:
        yield bench


def test_nats_machine() -> None:
    run_state_machine_as_test(
        broker_machine(slow_nats),
        settings=settings(
            max_examples=5,
            stateful_step_count=25,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
