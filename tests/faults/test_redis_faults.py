"""Redis that restarts, is killed, paused, full, read-only or emptied, and connections that are cut."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from millrace.broker import Broker, Queue
from millrace.brokers.redis import link as link_module
from millrace.brokers.redis import open_broker
from millrace.brokers.redis.broker import RedisBroker
from millrace.errors import BrokerDenied, BrokerError, StorageFull
from millrace.ids import new_id
from millrace.types import Commit, Lease, Message, Outcome, Put
from tests.certificates import certificate
from tests.faults.insisting import insisted
from tests.needs import needs
from tests.services.ports import free_port
from tests.services.proxy import proxied
from tests.services.redis import Redis

_PATIENCE_S = 60.0


@pytest.fixture
def server() -> Iterator[Redis]:
    needs("redis-server or valkey-server", Redis.program())
    with Redis() as server:
        server.start()
        yield server


@asynccontextmanager
async def broker_at(url: str, **queue: object) -> AsyncIterator[RedisBroker]:
    broker = await open_broker(url)
    await broker.declare([Queue("work", **{"lease_s": 5.0} | queue)])
    yield broker
    await broker.close()


async def put(broker: Broker, *ids: str) -> list[bool]:
    return [answer.duplicate for answer in await broker.put([Put("work", Message(id, b"x" * 200)) for id in ids])]


async def done(broker: Broker, leases: list[Lease]) -> list[Lease]:
    return await broker.settle(Commit("work", [Outcome(lease, "done") for lease in leases]))


async def producing(broker: Broker, accepted: set[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        ids = [new_id() for _ in range(20)]
        await insisted(lambda ids=ids: put(broker, *ids))
        accepted.update(ids)


async def consuming(broker: Broker, seen: set[str], stop: asyncio.Event) -> None:
    """Work until nothing comes any more."""
    while True:
        leases = await insisted(lambda: broker.take("work", 100))
        seen.update(lease.message.id for lease in leases)
        if leases:
            await insisted(lambda leases=leases: done(broker, leases))
        elif stop.is_set() and not sum(await left(broker)):
            return
        else:
            await broker.wait("work", 0.5)


async def left(broker: Broker) -> tuple[int, int, int]:
    stats = await broker.stats("work")
    return stats.depth, stats.in_flight, stats.delayed


async def under_load(url: str, faults, *, times: int = 3) -> tuple[set[str], set[str], float]:
    """Produce and consume while faults happen; what was accepted, what was seen, and what it has cost in seconds."""
    accepted: set[str] = set()
    seen: set[str] = set()
    stop = asyncio.Event()
    async with broker_at(url, lease_s=2.0) as producer, broker_at(url, lease_s=2.0) as consumer:
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(producing(producer, accepted, stop))
            consumers = [group.create_task(consuming(consumer, seen, stop)) for _ in range(2)]
            for _ in range(times):
                before = len(accepted)
                await faults()
                while len(accepted) < before + 500:
                    await asyncio.sleep(0.01)
            stop.set()
            await asyncio.gather(*consumers)
        return accepted, seen, asyncio.get_running_loop().time() - began


async def test_a_killed_server_loses_nothing(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    async def kill() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.restart)

    with caplog.at_level(logging.WARNING, "millrace.brokers.redis"):
        accepted, seen, _ = await under_load(server.url, kill)
    assert accepted, "expected messages to be accepted"
    assert not accepted - seen, f"lost {len(accepted - seen)} of {len(accepted)}"
    said = [record.message for record in caplog.records]
    assert any("connection lost" in line for line in said), said
    assert any("connected again" in line for line in said), said


async def test_cut_connections_lose_nothing(server: Redis) -> None:
    with proxied("127.0.0.1", server.port) as proxy:

        async def cut() -> None:
            for _ in range(5):
                await asyncio.to_thread(proxy.cut)
                await asyncio.sleep(0.05)

        accepted, seen, _ = await under_load(f"redis://127.0.0.1:{proxy.port}/0", cut)
    assert accepted, "expected messages to be accepted"
    assert not accepted - seen, f"lost {len(accepted - seen)} of {len(accepted)}"


async def test_killed_clients_come_back(server: Redis) -> None:
    async with broker_at(server.url) as broker, broker_at(server.url) as other:
        waiting = asyncio.create_task(broker.wait("work", 30.0))
        await asyncio.sleep(0.05)
        await other.link.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await other.link.command("CLIENT", "KILL", "TYPE", "pubsub")
        await put(other, "a")
        async with asyncio.timeout(_PATIENCE_S):
            await waiting
        assert [lease.message.id for lease in await broker.take("work", 1)] == ["a"]


async def test_a_put_whose_answer_got_lost_is_a_duplicate(server: Redis) -> None:
    async with broker_at(server.url) as broker:
        await put(broker, "known")  # so that the script is known as well
        await done(broker, await broker.take("work", 1))
        connection = broker.link.connection
        connection.data_received = lambda data: connection.close("cut before the answer")
        assert await put(broker, "a", "b") == [True, True], "expected the repeated put to find what the first stored"
        assert await left(broker) == (2, 0, 0), "expected each id once"
        leases = await broker.take("work", 2)
        connection = broker.link.connection
        connection.data_received = lambda data: connection.close("cut before the answer")
        assert await done(broker, leases) == leases, "expected leases that were settled already to be told as lost"
        assert await left(broker) == (0, 0, 0), "expected them to be settled"


async def test_a_paused_server_is_given_up_and_found_again(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "ANSWER_S", 0.3)
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.5)
    async with broker_at(server.url) as broker:
        server.pause()
        with pytest.raises(BrokerError, match="does not answer"):
            await put(broker, "a")
        server.resume()
        await insisted(lambda: put(broker, "a"))
        assert (await left(broker))[0] == 1, "expected the message once, though it was put twice"


async def fill(broker: Broker, stored: list[str]) -> None:
    for number in range(100):
        ids = [f"{number}-{place}" for place in range(100)]
        await broker.put([Put("work", Message(id, b"x" * 2000)) for id in ids])
        stored += ids


async def test_a_full_server_takes_no_more_and_can_be_worked_off(server: Redis) -> None:
    async with broker_at(server.url) as broker:
        await broker.link.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await broker.link.command("CONFIG", "SET", "maxmemory", "6mb")
        stored: list[str] = []
        with pytest.raises(StorageFull, match="out of memory"):
            await fill(broker, stored)
        assert await left(broker) == (len(stored), 0, 0), "expected nothing of the refused put"
        while leases := await broker.take("work", 500):
            assert await done(broker, leases) == [], "expected a full server to let its queue be worked off"
        assert await put(broker, "a") == [False], "expected room again"


async def test_a_server_without_rights_to_write_is_said(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.5)
    async with broker_at(server.url) as broker:
        await broker.link.command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(BrokerError, match="READONLY"):
            await put(broker, "a")
        with pytest.raises(BrokerError, match="replica"):
            await open_broker(server.url)
        await broker.link.command("REPLICAOF", "NO", "ONE")
        assert await insisted(lambda: put(broker, "a")) == [False]


async def test_waiting_and_leaving_need_no_server(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.2)
    async with broker_at(server.url) as broker:
        await broker.take("work", 1)
        await broker.link.command("REPLICAOF", "127.0.0.1", "1")
        async with asyncio.timeout(_PATIENCE_S):
            await broker.wait("work", 0.5)


async def test_forgotten_scripts_are_sent_again(server: Redis) -> None:
    async with broker_at(server.url) as broker:
        await put(broker, "a")
        await broker.link.command("SCRIPT", "FLUSH")
        assert await put(broker, "a", "b") == [True, False]
        assert len(await broker.take("work", 9)) == 2


async def test_an_emptied_server_has_its_queues_again(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    async with broker_at(server.url) as broker:
        await put(broker, "a")
        await broker.link.command("FLUSHALL")
        assert await put(broker, "b") == [False]
        assert [lease.message.id for lease in await broker.take("work", 9)] == ["b"]
        assert "has lost its queues" in caplog.text
        await broker.drop(["work"])
        with pytest.raises(BrokerError, match="no queue 'work'"):
            await put(broker, "c")


@pytest.mark.parametrize("command", [("DEL",), ("XGROUP", "DESTROY")])
async def test_a_stream_or_group_that_somebody_deleted(server: Redis, command: tuple[str, ...]) -> None:
    """A deleted group begins again at the first message; a deleted stream is empty, and nothing of it is in the way."""
    async with broker_at(server.url) as broker:
        await put(broker, "a", "b")
        await broker.take("work", 1)
        stream = "{millrace}:stream:work"
        await broker.link.command(*command, stream, *(() if command == ("DEL",) else ("millrace",)))
        found = [lease.message.id for lease in await broker.take("work", 9)]
        assert found == ([] if command == ("DEL",) else ["a", "b"])
        assert await put(broker, "c") == [False]
        assert [lease.message.id for lease in await broker.take("work", 9)] == ["c"]


async def test_puts_wait_for_replicas(server: Redis) -> None:
    async with broker_at(f"{server.url}?wait_replicas=1") as broker:
        broker.replicated_ms = 100
        with pytest.raises(BrokerError, match="0 of 1 replicas"):
            await put(broker, "a")
        with Redis({"replicaof": f"127.0.0.1 {server.port}"}) as replica:
            replica.start()
            broker.replicated_ms = 20_000
            assert await insisted(lambda: put(broker, "a", "b")) == [True, False]


async def test_settings_that_cost_messages_are_said(caplog: pytest.LogCaptureFixture) -> None:
    needs("redis-server or valkey-server", Redis.program())
    with Redis({"appendonly": "no", "maxmemory-policy": "allkeys-lru"}) as server:
        async with broker_at(server.start()):
            warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, warnings
    assert "appendonly" in warnings[0]
    assert "allkeys-lru" in warnings[0]


async def test_a_server_that_hides_its_settings(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    async with broker_at(server.url) as broker:
        await broker.link.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-config")
    with caplog.at_level(logging.INFO, "millrace.brokers.redis"):
        async with broker_at(f"redis://app:pw@127.0.0.1:{server.port}/0") as broker:
            assert await put(broker, "a") == [False]
    assert "is unknown" in caplog.text


async def test_a_user_without_rights_is_told(server: Redis) -> None:
    async with broker_at(server.url) as broker:
        await broker.link.command("ACL", "SETUSER", "guest", "on", ">pw", "~*", "+hello", "+ping", "+select")
    broker = await open_broker(f"redis://guest:pw@127.0.0.1:{server.port}/0")
    with pytest.raises(BrokerError, match="may not do that"):
        await broker.declare([Queue("work")])
    await broker.close()


async def test_an_encrypted_connection(tmp_path: Path) -> None:
    needs("redis-server or valkey-server", Redis.program())
    certificate_path, key_path = certificate(tmp_path)
    port = free_port()
    files = {"tls-cert-file": str(certificate_path), "tls-key-file": str(key_path), "tls-auth-clients": "no"}
    with Redis({"tls-port": str(port), "tls-ca-cert-file": str(certificate_path), **files}) as server:
        server.start()
        url = f"rediss://localhost:{port}/0"
        with pytest.raises(BrokerError, match="certificate"):
            await open_broker(url)
        async with broker_at(f"{url}?cafile={certificate_path}") as broker:
            assert await put(broker, "a") == [False]
            assert len(await broker.take("work", 1)) == 1
            await broker.link.command("ACL", "SETUSER", "app", "on", ">open:sesame", "~*", "&*", "+@all")
        async with broker_at(f"rediss://app:open%3Asesame@localhost:{port}/0?cafile={certificate_path}") as broker:
            assert await broker.link.command("ACL", "WHOAMI") == b"app"
        with pytest.raises(BrokerDenied, match="password") as denied:
            await open_broker(f"rediss://app:opensesame@localhost:{port}/0?cafile={certificate_path}")
        assert "MILLRACE_BROKER_PASSWORD" in denied.value.hint
        assert "opensesame" not in str(denied.value)


async def test_a_clients_certificate(tmp_path: Path) -> None:
    needs("redis-server or valkey-server", Redis.program())
    shown, key = map(str, certificate(tmp_path))
    port = free_port()
    files = {"tls-cert-file": shown, "tls-key-file": key, "tls-ca-cert-file": shown, "tls-auth-clients": "yes"}
    with Redis({"tls-port": str(port), **files}) as server:
        server.start()
        url = f"rediss://localhost:{port}/0?cafile={shown}"
        async with broker_at(f"{url}&certfile={shown}&keyfile={key}") as broker:
            assert await put(broker, "a") == [False]
        with pytest.raises(BrokerError) as refused:
            await open_broker(url)
        assert "?certfile=" in refused.value.hint, "expected what the server may want, which just hangs up"


async def test_a_cluster_of_one_shard_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.3)
    needs("redis-server or valkey-server", Redis.program())
    with Redis({"cluster-enabled": "yes", "cluster-port": str(free_port())}) as server:
        broker = await open_broker(server.start())
        with pytest.raises(BrokerError, match="does not answer"):
            await broker.queues()
        await broker.link.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await insisted(broker.queues)  # it takes its slots after two seconds
        await broker.close()
        async with broker_at(server.url) as broker:
            await broker.declare([Queue("letters"), Queue("work", dead_to="letters")])
            assert await put(broker, "a", "b") == [False, False]
            assert await broker.move("work", "letters") == 2
            assert len(await broker.take("letters", 9)) == 2


async def test_nobody_at_the_port(server: Redis) -> None:
    server.kill()
    with pytest.raises(BrokerError, match="does not answer") as raised:
        await open_broker(f"redis://u:s3cret@127.0.0.1:{server.port}/0")
    assert "s3cret" not in str(raised.value)


async def test_a_password_is_asked_for(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async with broker_at(server.url) as broker:
        await broker.link.command("CONFIG", "SET", "requirepass", "s3cret")
        for url in (server.url, f"redis://:wrong@127.0.0.1:{server.port}/0"):
            with pytest.raises(BrokerError, match="refuses these credentials") as raised:
                await open_broker(url)
            assert "wrong@" not in str(raised.value)
        monkeypatch.setenv("MILLRACE_BROKER_PASSWORD", "s3cret")
        await (await open_broker(server.url)).close()
