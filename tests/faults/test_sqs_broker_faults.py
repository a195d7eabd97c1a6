"""The adapter to SQS while its endpoint is cut off, silent or refusing: nothing is lost, and the log says it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from tests.faults.insisting import insisted
from tests.needs import needs_module

needs_module("aiohttp", "botocore")

from millrace.aws.endpoint.call import Call, Reply  # noqa: E402
from millrace.aws.sqs import SqsService  # noqa: E402
from millrace.broker import Queue  # noqa: E402
from millrace.brokers.sqs import SqsBroker, open_broker  # noqa: E402
from millrace.brokers.sqs import client as client_module  # noqa: E402
from millrace.clock import SystemClock  # noqa: E402
from millrace.errors import BrokerError  # noqa: E402
from millrace.types import Commit, Lease, Message, Outcome, Put  # noqa: E402
from tests.conformance.sqs_servers import address, own_endpoint  # noqa: E402
from tests.services.proxy import Proxy, proxied  # noqa: E402

T = TypeVar("T")
_PATIENCE_S = 60.0


@asynccontextmanager
async def behind_a_proxy(folder: Path) -> AsyncIterator[tuple[SqsBroker, Proxy]]:
    async with own_endpoint(folder, SystemClock()) as endpoint:
        there = urlsplit(endpoint)
        with proxied("127.0.0.1", there.port or 0) as proxy:
            broker = await open_broker(address(f"http://127.0.0.1:{proxy.port}"))
            await broker.declare([Queue("work", lease_s=3.0, max_receives=None)])
            try:
                yield broker, proxy
            finally:
                await broker.close()


async def put(broker: SqsBroker, *ids: str) -> None:
    await broker.put([Put("work", Message(id)) for id in ids])


async def settled(broker: SqsBroker, leases: list[Lease]) -> set[str]:
    """The ids of those whose deletion SQS has taken."""
    lost = await broker.settle(Commit("work", [Outcome(lease, "done") for lease in leases]))
    return {lease.message.id for lease in leases} - {lease.message.id for lease in lost}


async def test_connections_that_are_cut_lose_nothing(tmp_path: Path) -> None:
    names = {f"m{number}" for number in range(120)}
    done: set[str] = set()
    async with behind_a_proxy(tmp_path) as (broker, proxy), asyncio.timeout(_PATIENCE_S):

        async def produce() -> None:
            for name in sorted(names):
                await insisted(lambda name=name: put(broker, name))

        async def consume() -> None:
            while done != names:
                leases = await insisted(lambda: broker.take("work", 10))
                if leases:
                    done.update(await insisted(lambda leases=leases: settled(broker, leases)))
                else:
                    await insisted(lambda: broker.wait("work", 1.0))

        async def cut() -> None:
            for _ in range(8):
                await asyncio.sleep(0.15)
                proxy.cut()

        await asyncio.gather(produce(), consume(), consume(), cut())
    assert done == names


async def test_an_endpoint_that_is_away_is_waited_for_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="millrace")
    async with behind_a_proxy(tmp_path) as (broker, proxy), asyncio.timeout(_PATIENCE_S):
        waiting = asyncio.create_task(broker.wait("work", 60.0))
        await asyncio.sleep(0.2)
        proxy.refuse()
        putting = asyncio.create_task(put(broker, "a"))
        await asyncio.sleep(1.0)
        assert not putting.done()
        assert not waiting.done()
        proxy.accept()
        await putting
        await waiting
        (lease,) = await broker.take("work", 10)
        assert await settled(broker, [lease]) == {"a"}
    told = [record.message for record in caplog.records if record.name.startswith("millrace.brokers.sqs")]
    assert sum("is asked again" in each for each in told) == 1
    assert sum("answers again" in each for each in told) == 1


async def test_a_network_that_is_silent_ends_the_request_not_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_ANSWER_S", 0.5)
    async with behind_a_proxy(tmp_path) as (broker, proxy), asyncio.timeout(_PATIENCE_S):
        await put(broker, "a")
        (lease,) = await broker.take("work", 10)
        proxy.hold()
        settling = asyncio.create_task(settled(broker, [lease]))
        await asyncio.sleep(1.0)
        assert not settling.done()
        proxy.flow()
        assert await settling == {"a"}


async def test_a_lease_that_ran_out_in_the_silence_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_ANSWER_S", 0.5)
    async with behind_a_proxy(tmp_path) as (broker, proxy), asyncio.timeout(_PATIENCE_S):
        await put(broker, "a")
        (old,) = await broker.take("work", 10)
        proxy.hold()
        renewing = asyncio.create_task(broker.extend([old], 3.0))
        await asyncio.sleep(3.5)
        proxy.flow()
        await asyncio.wait({renewing})
        await insisted(lambda: broker.wait("work", 10.0))
        while not (new := await broker.take("work", 10)):
            await broker.wait("work", 5.0)
        assert await settled(broker, [old]) == set(), "expected the old lease to be lost"
        assert await settled(broker, new) == {"a"}


async def test_throttling_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, throttled = SqsService.handle, [0]

    async def busy(service: SqsService, call: Call) -> Reply:
        throttled[0] += 1
        if throttled[0] % 3 == 1:
            return Reply(502, {"content-type": "text/html"}, b"<html>a load balancer</html>")
        if throttled[0] % 3 == 2:
            return Reply(400, {}, b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"too many"}')
        return await handle(service, call)

    async with behind_a_proxy(tmp_path) as (broker, _), asyncio.timeout(_PATIENCE_S):
        await broker.declare([Queue("work", lease_s=30.0)])
        monkeypatch.setattr(SqsService, "handle", busy)
        await put(broker, *(f"m{number}" for number in range(25)))
        leases = await broker.take("work", 100)
        assert len(await settled(broker, leases)) == len(leases) > 0


async def test_an_endpoint_that_breaks_off_for_longer_than_a_put_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind_a_proxy(tmp_path) as (broker, proxy), asyncio.timeout(_PATIENCE_S):
        proxy.refuse()
        monkeypatch.setattr(client_module.Client.call, "__kwdefaults__", {"wait_s": 0.0, "patience_s": 0.3})
        with pytest.raises(BrokerError, match="no answer from"):
            await put(broker, "a")
        proxy.accept()
        await put(broker, "a")


async def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.brokers.sqs._FIRST_PATIENCE_S", 0.2)
    with pytest.raises(BrokerError, match=r"no answer from http://127\.0\.0\.1:9/") as error:
        await open_broker(address("http://127.0.0.1:9"))
    assert "check the endpoint" in error.value.hint
    assert "a-secret" not in str(error.value)


async def test_a_waiting_process_asks_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, asked = SqsService.handle, []

    async def counted(service: SqsService, call: Call) -> Reply:
        asked.append(call.headers.get("x-amz-target", ""))
        return await handle(service, call)

    async with behind_a_proxy(tmp_path) as (broker, _):
        monkeypatch.setattr(SqsService, "handle", counted)
        await asyncio.gather(*(broker.wait("work", 2.0) for _ in range(20)))
    assert 1 <= sum("ReceiveMessage" in each for each in asked) <= 3
