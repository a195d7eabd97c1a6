"""Redis or Valkey against the suite and the model, on a real server and in real time."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha1

import pytest

from millrace.brokers.redis import open_broker, scripts
from millrace.brokers.redis.broker import RedisBroker
from millrace.errors import Unencodable
from millrace.testing.bench import BrokerBench
from millrace.testing.broker import CHECKS, Check
from millrace.testing.machine import broker_machine
from tests.conformance.broker_parts import bench_at
from tests.conformance.machine_runs import run_machine
from tests.conformance.real_time import run_in_real_time
from tests.services import service

_UNIT_S = 0.1
_LONG_UNITS = 200  # what is to be longer than any lease, delay or window may be as short as twelve units
_SHARE = 0.2  # of the profile's examples
_TIME_OF_THE_TEST = "{ (redis.call('GET', base .. 'clock') or 2e12) / 1000, 0 }"
_PATIENT = {  # names of checks that are run together, since each of them waits for seconds
    "a_key_is_forgotten_after_the_window",
    "an_id_is_forgotten_after_the_window",
    "a_dead_letter_is_known_until_it_is_moved",
    "a_letter_lives_by_its_own_queue",
    "a_purged_dead_letter_is_known_for_the_window",
    "dead_letters_stay",
    "a_lease_that_runs_out_gives_the_message_again",
    "dead_letters_may_go_to_another_queue",
    "a_message_that_outlives_its_receives_is_lost",
}


def redis(unit_s: float = _UNIT_S) -> AbstractAsyncContextManager[BrokerBench]:
    """An empty broker under a prefix of its own."""

    async def advance(seconds: float) -> None:
        await asyncio.sleep(seconds if seconds < _LONG_UNITS * unit_s else 12 * unit_s)

    return bench_at(f"{service('redis')}?prefix=t{secrets.token_hex(6)}", open_broker, unit_s, advance)


CLAIMED = [check for check in CHECKS if check.applies(RedisBroker.capabilities)]


@pytest.mark.parametrize("check", [pytest.param(each, id=each.name) for each in CLAIMED if each.name not in _PATIENT])
async def test_redis(check: Check) -> None:
    await run_in_real_time(redis, check.run, _UNIT_S)


async def test_redis_when_time_passes() -> None:
    """The checks that let much of it pass, at the same time."""

    async with asyncio.TaskGroup() as group:
        for check in CLAIMED:
            if check.name in _PATIENT:
                group.create_task(run_in_real_time(redis, check.run, _UNIT_S), name=check.name)


async def test_a_name_that_cannot_be_sent_is_not_remembered(caplog: pytest.LogCaptureFixture) -> None:
    async with redis() as bench:
        broker = bench.broker
        assert isinstance(broker, RedisBroker)
        await bench.declare()
        for asking in (broker.wait("a\ud800", 1.0), broker.take("a\ud800", 1)):
            with pytest.raises(Unencodable):
                await asking
        assert broker.link.connection is not None
        broker.link.connection.close("cut")
        await bench.put("a")
        assert await bench.taken() == ["a"], "expected the link to come back"
        caplog.set_level(logging.INFO)
    assert not [record for record in caplog.records if "stays among" in record.message]


def test_redis_claims_all_but_transactions_and_attempts_from_elsewhere() -> None:
    assert {need for check in CHECKS if not check.applies(RedisBroker.capabilities) for need in check.needs} <= {
        "transactional",
        "dedupe",
        "resumes",
    }


@asynccontextmanager
async def redis_by_hand() -> AsyncIterator[BrokerBench]:
    """The same where time is moved by hand, so that the model and the server agree on what time it is."""
    async with redis() as bench:
        key = "{" + bench.broker.link.address.prefix + "}:clock"
        await bench.broker.link.command("SET", key, 2_000_000_000_000)

        async def advance(seconds: float) -> None:
            await bench.broker.link.command("INCRBY", key, round(seconds * 1000))

        bench.advance, bench.unit_s = advance, 10.0
        yield bench
        await bench.broker.link.command("DEL", key)


@pytest.fixture
def clock_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts ask a key for the time instead of the server."""
    for name, script in vars(scripts).items():
        if isinstance(script, scripts.Script):
            text = script.text.replace("redis.call('TIME')", _TIME_OF_THE_TEST)
            hash = sha1(text.encode()).hexdigest()
            monkeypatch.setattr(scripts, name, scripts.Script(text, hash))


@pytest.mark.no_cover
@pytest.mark.usefixtures("clock_of_the_test")
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_redis_machine(fifo: bool) -> None:
    run_machine(broker_machine(redis_by_hand, fifo=fifo), _SHARE)
