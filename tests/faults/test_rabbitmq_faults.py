"""RabbitMQ under fire: cut, held, killed, short of memory, its queues deleted; and shared with programs of others."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from millrace.broker import Queue, dead_letters
from millrace.brokers.rabbitmq import open_broker
from millrace.brokers.rabbitmq.broker import RabbitBroker
from millrace.errors import BrokerError, QueueFull, TooLarge
from millrace.known_brokers import RABBITMQ
from millrace.types import Commit, Death, Failure, Lease, Message, Outcome, Put
from tests.needs import needs_module
from tests.services import service
from tests.services.proxy import Proxy, proxied
from tests.services.rabbitmq import Rabbitmq

needs_module("pika")
import pika  # noqa: E402

PATIENCE_S = 60.0
SMALL = 100_000  # bytes


@pytest.fixture
def url() -> str:
    return f"{service('rabbitmq')}?prefix=f{secrets.token_hex(4)}."


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    parts = urlsplit(url)
    with proxied(parts.hostname or "", parts.port or 5672) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbitmq]:
    """One that a test may kill, and that takes small messages alone; the other tests' need not notice."""
    service("rabbitmq")
    with Rabbitmq({"max_message_size": str(SMALL)}) as server:
        server.start(tmp_path_factory.mktemp("rabbitmq"))
        yield server


def through(proxy: Proxy, url: str, **options: str) -> str:
    parts = urlsplit(url)
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")).geturl() + more


@asynccontextmanager
async def opened(url: str, *queues: Queue, patience_s: float = 30.0) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(RABBITMQ.address(url), patience_s=patience_s)
    await broker.connect()
    try:
        await broker.declare(queues)
        yield broker
    finally:  # or the next test's messages would come here
        await broker.close()


@asynccontextmanager
async def cleared(url: str, *queues: Queue) -> AsyncIterator[RabbitBroker]:
    async with opened(url, *queues) as broker:
        yield broker
        await broker.drop([queue.name for queue in queues])


async def some(broker: RabbitBroker, queue: str, limit: int = 100) -> list[Lease]:
    """What is taken as soon as there is something."""
    async with asyncio.timeout(PATIENCE_S):
        while not (leases := await broker.take(queue, limit)):
            await broker.wait(queue, 1.0)
    return leases


async def put(broker: RabbitBroker, *ids: str, queue: str = "work", **how: float) -> None:
    await broker.put([Put(queue, Message(id, b"x" * 200), **how) for id in ids])


async def done(broker: RabbitBroker, leases: list[Lease]) -> list[Lease]:
    return await broker.settle(Commit(leases[0].queue, [Outcome(lease, "done") for lease in leases]))


async def flow(broker: RabbitBroker, count: int, break_it) -> Counter[str]:
    """Put and take at once while `break_it` runs; how often each message was done. Those are done that were ours."""
    seen: Counter[str] = Counter()

    async def producer(first: int) -> None:
        for number in range(first, count, 4):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        await put(broker, f"m{number}")
                    except BrokerError:
                        await asyncio.sleep(0.05)
                    else:
                        break

    async def consumer() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(seen) < count:
                try:
                    leases = await broker.take("work", 50)
                    if not leases:
                        await broker.wait("work", 0.5)
                        continue
                    lost = {lease.receipt for lease in await done(broker, leases)}
                except BrokerError:
                    await asyncio.sleep(0.05)
                    continue
                seen.update(lease.message.id for lease in leases if lease.receipt not in lost)

    await asyncio.gather(*(producer(first) for first in range(4)), consumer(), break_it())
    return seen


async def test_connections_that_are_cut_lose_nothing(url: str, proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    cuts = []

    async def cut() -> None:
        while sum(cuts) < 4:  # one that is not back yet cannot be cut
            await asyncio.sleep(0.15)
            cuts.append(await asyncio.to_thread(proxy.cut))

    async with (
        cleared(url, Queue("work", max_receives=None)),
        opened(through(proxy, url), Queue("work", max_receives=None)) as broker,
    ):
        seen = await flow(broker, 2000, cut)
    assert len(seen) == 2000
    told = [record.getMessage() for record in caplog.records]
    assert any("lost, connecting again" in line for line in told)
    assert any("is back" in line for line in told)


async def test_a_lease_of_a_lost_connection_is_fenced(url: str, proxy: Proxy) -> None:
    async with cleared(url, Queue("work")), opened(through(proxy, url), Queue("work")) as broker:
        await put(broker, "a")
        old = await some(broker, "work")
        await asyncio.to_thread(proxy.cut)
        new = await some(broker, "work")
        assert [lease.attempt for lease in new] == [2]
        assert await broker.settle(Commit("work", [Outcome(old[0], "done")])) == old
        assert await broker.extend(old, 30.0) == []
        assert await done(broker, new) == []


async def test_a_broker_that_falls_silent_is_left(url: str, proxy: Proxy) -> None:
    async with (
        cleared(url, Queue("work")) as other,
        opened(through(proxy, url, heartbeat="1"), Queue("work")) as broker,
    ):
        await put(broker, "a")
        await some(broker, "work")
        proxy.hold()
        assert [lease.attempt for lease in await some(other, "work", 1)] == [2], "expected the broker to give it again"
        proxy.flow()
        await put(broker, "b")
        assert [lease.message.id for lease in await some(broker, "work")] == ["b"]


async def test_heartbeats_go_out_while_everything_else_stands_still(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with cleared(url + "&heartbeat=2", Queue("work")) as broker:
        await put(broker, "a")
        leases = await some(broker, "work")
        time.sleep(7.0)  # the loop stands still for longer than the broker waits for a heartbeat
        assert await done(broker, leases) == []
    assert "lost" not in caplog.text


async def test_a_server_that_is_killed_loses_nothing(server: Rabbitmq) -> None:
    async def kill() -> None:
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.restart)

    async with cleared(server.url + "?prefix=killed.", Queue("work", max_receives=None)) as broker:
        await asyncio.to_thread(server.keep_names)
        assert len(await flow(broker, 1500, kill)) == 1500


async def test_a_memory_alarm_stops_puts_and_nothing_else(server: Rabbitmq, caplog: pytest.LogCaptureFixture) -> None:
    async def fill() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:  # the alarm comes a moment later
                await put(broker, "c")

    async with opened(server.url + "?prefix=short.", Queue("work"), patience_s=4.0) as broker:
        await put(broker, "a", "b")
        leases = await some(broker, "work", 2)
        await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.000001")
        try:
            with pytest.raises(BrokerError, match="low on memory"):
                await fill()
            assert await done(broker, leases[:1]) == []
            with pytest.raises(BrokerError, match="low on memory"):
                await broker.settle(Commit("work", [Outcome(leases[1], "retry")]))
            assert await broker.extend(leases[1:], 30.0) != [], "expected the lease to be ours still"
        finally:
            await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.9")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await put(broker, "d")
                except BrokerError:
                    continue
                break
        assert "accepts no messages now" in caplog.text
        await broker.drop(["work"])


async def test_a_queue_that_somebody_deletes_is_made_again(url: str, caplog: pytest.LogCaptureFixture) -> None:
    prefix = url.rpartition("=")[2]
    async with cleared(url, Queue("work")) as broker:
        await put(broker, "gone")
        old = await some(broker, "work")
        with pika.BlockingConnection(pika.URLParameters(url.partition("?")[0])) as other:
            other.channel().queue_delete(f"{prefix}work")
        await put(broker, "a")
        assert [lease.message.id for lease in await some(broker, "work")] == ["a"]
        assert await done(broker, old) == old
        await put(broker, "later", delay_s=0.1)
        assert [lease.message.id for lease in await some(broker, "work")] == ["later"]
        caplog.clear()
        with pika.BlockingConnection(pika.URLParameters(url.partition("?")[0])) as other:
            other.channel().queue_delete(f"{prefix}work")
        async with asyncio.timeout(PATIENCE_S):
            while "work was deleted" not in caplog.text:  # a moment later; a delayed put would not notice
                await asyncio.sleep(0.01)
        await broker.take("work", 1)
        assert "was deleted by somebody" in caplog.text
        await put(broker, "again", delay_s=0.1)
        assert [lease.message.id for lease in await some(broker, "work")] == ["again"]


async def test_what_comes_due_while_its_queue_is_away_is_late_and_not_lost(server: Rabbitmq) -> None:
    """RabbitMQ tries to move it again every three minutes, here every second."""
    setting = "rabbit, dead_letter_worker_publisher_confirm_timeout"
    usual = (await asyncio.to_thread(server.control, "eval", f"element(2, application:get_env({setting})).")).strip()
    await asyncio.to_thread(server.control, "eval", f"application:set_env({setting}, 1000).")
    try:
        async with cleared(f"{server.url}?prefix=away.", Queue("work"), Queue("other")) as broker:
            with pika.BlockingConnection(pika.URLParameters(server.url)) as other:
                other.channel().queue_delete("away.work")
            await put(broker, "late", delay_s=0.05)
            await put(broker, "behind", queue="other", delay_s=0.05)
            await some(broker, "other")  # it went the same way, behind the other one
            assert [lease.message.id for lease in await some(broker, "work")] == ["late"]
    finally:
        await asyncio.to_thread(server.control, "eval", f"application:set_env({setting}, {usual}).")


async def test_a_way_through_the_delays_that_is_deleted_is_made_again(url: str) -> None:
    prefix = url.rpartition("=")[2]
    async with cleared(url, Queue("work")) as broker:
        await put(broker, "a", delay_s=0.05)
        assert [lease.message.id for lease in await some(broker, "work")] == ["a"]
        with pika.BlockingConnection(pika.URLParameters(url.partition("?")[0])) as other:
            for place in range(3):
                for digit in range(1, 4):
                    other.channel().queue_delete(f"{prefix}millrace.delay.{place}.{digit}")
        await put(broker, "b", delay_s=0.05)
        assert [lease.message.id for lease in await some(broker, "work")] == ["b"]


async def test_a_queue_with_other_arguments_is_used_as_it_is(url: str, caplog: pytest.LogCaptureFixture) -> None:
    prefix = url.rpartition("=")[2]
    with pika.BlockingConnection(pika.URLParameters(url.partition("?")[0])) as other:
        channel = other.channel()
        channel.queue_declare(f"{prefix}task_queue", durable=True, arguments={"x-message-ttl": 600_000})
        channel.basic_publish("", f"{prefix}task_queue", b"theirs")
        with caplog.at_level(logging.WARNING):
            async with cleared(url, Queue("task_queue", max_receives=2)) as broker:
                assert "x-message-ttl" in caplog.text
                assert "used as it is" in caplog.text
                assert "is lost when" not in caplog.text
                (lease,) = await some(broker, "task_queue")
                assert (lease.message.body, lease.attempt) == (b"theirs", 1)
                await broker.settle(Commit("task_queue", [Outcome(lease, "retry", delay_s=0.1)]))
                (again,) = await some(broker, "task_queue")
                assert (again.message.id, again.attempt) == (lease.message.id, 2)
                await broker.settle(Commit("task_queue", [Outcome(again, "retry")]))
                assert await broker.take("task_queue", 1) == []
                (letter,) = await broker.peek(dead_letters("task_queue"))
                assert letter.death is not None
                assert (letter.message.body, letter.death.reason) == (b"theirs", "failed")


async def test_a_queue_that_is_not_durable_is_said_to_lose_what_it_holds(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = url.rpartition("=")[2]
    with pika.BlockingConnection(pika.URLParameters(url.partition("?")[0])) as other:
        other.channel().queue_declare(f"{prefix}brief", durable=False)
        with caplog.at_level(logging.WARNING):
            async with cleared(url, Queue("brief")):
                assert "what it holds is lost when the broker ends. To have millrace's, " in caplog.text


async def test_what_others_say_to_each_other_outlives_a_retry_and_death(url: str) -> None:
    prefix = url.rpartition("=")[2]
    said = pika.BasicProperties(message_id="theirs", correlation_id="call-7", reply_to="answers")
    async with cleared(url, Queue("work", max_receives=3)) as broker:
        with pika.BlockingConnection(pika.URLParameters(url.partition("?")[0])) as other:
            channel = other.channel()
            channel.basic_publish("", f"{prefix}work", b"ask", said)
            (lease,) = await some(broker, "work")
            await broker.settle(Commit("work", [Outcome(lease, "retry", delay_s=0.05)]))
            (lease,) = await some(broker, "work")
            await broker.settle(Commit("work", [Outcome(lease, "retry")]))
            (lease,) = await some(broker, "work")
            assert (lease.message.id, lease.attempt) == ("theirs", 3)
            death = Death("dead", Failure("E", "no"), "work", 3, 1.0, 2.0)
            await broker.settle(Commit("work", [Outcome(lease, "dead", death=death)]))
            _, properties, body = channel.basic_get(f"{prefix}{dead_letters('work')}", auto_ack=True)
    assert (body, properties.correlation_id, properties.reply_to) == (b"ask", "call-7", "answers")


async def test_messages_held_beyond_consumer_timeout_come_again(
    server: Rabbitmq, caplog: pytest.LogCaptureFixture
) -> None:
    """RabbitMQ looks once a minute whether an acknowledgement is late, here ten times a second."""
    usual = "application:get_env(rabbit, {}, undefined)"
    before = [
        (await asyncio.to_thread(server.control, "eval", usual.format(name) + ".")).strip()
        for name in ("consumer_timeout", "channel_tick_interval")
    ]

    async def limits(timeout_ms: str, look_ms: str) -> None:
        await asyncio.to_thread(
            server.control,
            "eval",
            f"application:set_env(rabbit, consumer_timeout, {timeout_ms}),"
            f" application:set_env(rabbit, channel_tick_interval, {look_ms}).",
        )

    await limits("300", "100")
    try:
        async with cleared(server.url + "?prefix=late.", Queue("work", max_receives=None)) as broker:
            await put(broker, "a")
            (old,) = await some(broker, "work")
            async with asyncio.timeout(PATIENCE_S):
                while await broker.standing([old]) == ["held"]:
                    await asyncio.sleep(0.05)
            assert "consumer_timeout: raise it in rabbitmq.conf" in caplog.text
            await limits(*before)
            (again,) = await some(broker, "work")
            assert again.message.id == "a"
            assert again.attempt > old.attempt
            assert await done(broker, [old]) == [old]
            await done(broker, [again])
    finally:
        await limits(*before)


async def test_a_queue_that_refuses_is_full(url: str) -> None:
    prefix = url.rpartition("=")[2]
    with pika.BlockingConnection(pika.URLParameters(url.partition("?")[0])) as other:
        arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        other.channel().queue_declare(f"{prefix}work", durable=True, arguments=arguments)
    async with cleared(url, Queue("work")) as broker:

        async def fill() -> None:
            for number in range(100):  # the broker refuses a little after the limit
                await put(broker, f"m{number}")

        with pytest.raises(QueueFull, match="work"):
            await fill()


async def test_what_expires_in_the_broker_is_a_dead_letter_though_nobody_takes(url: str) -> None:
    async with cleared(url, Queue("work", ttl_s=0.3)) as broker:
        await put(broker, "a")
        async with asyncio.timeout(PATIENCE_S):
            while (await broker.stats("work")).dead == 0:
                await asyncio.sleep(0.05)
        (letter,) = await broker.peek(dead_letters("work"))
        assert letter.death is not None
        assert (letter.message.id, letter.death.reason, letter.death.queue) == ("a", "expired", "work")
        assert await broker.move(dead_letters("work"), "work") == 1
        (lease,) = await some(broker, "work")
        assert (lease.attempt, lease.message.id, lease.message.attributes) == (1, "a", {})


async def test_delays_are_kept_to_a_twentieth(url: str) -> None:
    async with cleared(url, Queue("work")) as broker:
        late = [await lateness(broker) for _ in range(2)]
        assert min(late) < 0.3, "expected them in time; a machine that stands still makes one round late, not both"


async def lateness(broker: RabbitBroker) -> float:
    """Seconds by which the latest of three delayed messages came more than a twentieth of its delay too late."""
    began = {}
    for delay_s in (0.5, 1.1, 2.3):
        await put(broker, str(delay_s), delay_s=delay_s)
        began[str(delay_s)] = time.monotonic()
    await put(broker, "0")
    assert [lease.message.id for lease in await some(broker, "work", 1)] == ["0"], "expected no delay to be in the way"
    found = 0.0
    for expected in ("0.5", "1.1", "2.3"):
        (lease,) = await some(broker, "work", 1)
        assert lease.message.id == expected
        waited_s = time.monotonic() - began[expected]
        assert float(expected) - 0.02 <= waited_s
        found = max(found, waited_s - float(expected) * 1.05)
    return found


async def test_what_lies_here_for_too_long_goes_to_others_uncounted(url: str) -> None:
    async with cleared(url, Queue("work", lease_s=1.0)) as idle, opened(url, Queue("work")) as other:
        await idle.take("work", 4)
        await put(other, "a", "b")
        await idle.wait("work", 5.0)  # they are here now, and nobody takes them
        leases: list[Lease] = []
        while len(leases) < 2:
            leases += await some(other, "work", 2)
        assert sorted((lease.message.id, lease.attempt) for lease in leases) == [("a", 1), ("b", 1)]
        assert await done(other, leases) == []


async def test_a_close_gives_back_what_was_not_begun_uncounted(url: str) -> None:
    async with cleared(url, Queue("work")) as other:
        async with opened(url, Queue("work")) as broker:
            await put(broker, "a", "b", "c", "d")
            leases = await some(broker, "work", 4)
            await broker.settle(Commit("work", [Outcome(lease, "release") for lease in leases]))
        again = await some(other, "work", 4)
        assert [(lease.message.id, lease.attempt) for lease in again] == [("a", 1), ("b", 1), ("c", 1), ("d", 1)]


async def test_a_large_body_of_many_frames(url: str) -> None:
    async with cleared(url, Queue("work")) as broker:
        body = secrets.token_bytes(1 << 20) * 8
        await broker.put([Put("work", Message("a", body)), Put("work", Message("b", body[::-1]))])
        first, second = [*(await some(broker, "work", 1)), *(await some(broker, "work", 1))]
        assert (first.message.body == body, second.message.body == body[::-1]) == (True, True)


async def test_a_body_beyond_the_servers_own_limit_is_refused_and_holds_up_no_other(server: Rabbitmq) -> None:
    """The server closes the channel over it, with all that others were about to put."""
    most, large = f"takes {SMALL} at most", Put("work", Message("large", b"x" * (SMALL + 1)))
    small = [Put("work", Message(f"m{number}", b"x" * SMALL)) for number in range(20)]
    async with cleared(f"{server.url}?prefix=small.", Queue("work")) as broker:
        told = await asyncio.gather(
            broker.put([large, small[0]]), *(broker.put([each]) for each in small[1:]), return_exceptions=True
        )
        assert [type(each) for each in told] == [BrokerError, *[list] * 19], "some of the first may be there"
        with pytest.raises(TooLarge, match=most):
            await broker.put([small[0], large])
        await broker.put(small[:1])
        seen: set[str] = set()
        while len(seen) < 20:
            leases = await some(broker, "work")
            seen |= {lease.message.id for lease in leases}
            await done(broker, leases)
        assert "large" not in seen
    async with cleared(f"{server.url}?prefix=large.", Queue("work")) as broker:
        with pytest.raises(TooLarge, match=most):
            await broker.put([large])


@pytest.mark.parametrize(
    ("change", "problem"),
    [(("guest:guest", "guest:wrong-secret"), "refused the user"), (("?", "no-such-vhost?"), "no such virtual host")],
)
async def test_who_is_refused_is_told_why(url: str, change: tuple[str, str], problem: str) -> None:
    base, _, query = url.partition("?")
    base = base.rstrip("/") + "/"
    with pytest.raises(BrokerError, match=problem) as caught:
        await open_broker(f"{base}?{query}".replace(*change))
    assert "secret" not in str(caught.value)


async def test_a_port_that_speaks_another_language(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    odd = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        with pytest.raises(BrokerError, match="no AMQP"):
            await open_broker(f"amqp://127.0.0.1:{odd.sockets[0].getsockname()[1]}")
    finally:
        odd.close()


async def test_a_broker_that_is_away_is_named(url: str, proxy: Proxy) -> None:
    far = opened(through(proxy, url), Queue("work"), patience_s=2.0)
    async with cleared(url, Queue("work")) as near, far as broker:
        await put(near, "a")
        proxy.refuse()
        with pytest.raises(BrokerError, match="the broker is away"):
            await put(broker, "b")
        with pytest.raises(BrokerError, match="the broker is away"):
            await broker.take("work", 1)
        await broker.wait("work", 0.1)
        proxy.accept()
        leases: list[Lease] = []
        async with asyncio.timeout(PATIENCE_S):
            while not leases:
                with suppress(BrokerError):  # coming back may take longer than this broker's patience
                    leases = await some(broker, "work")
        assert "a" in [lease.message.id for lease in leases]


async def test_purges_choose_by_id(url: str) -> None:
    async with cleared(url, Queue("work")) as broker:
        await put(broker, "a", "b", "c", "d")
        (held,) = await some(broker, "work", 1)
        assert await broker.purge("work", ["a", "b"]) == 1
        assert await broker.purge("work", ["a", "c"], in_flight=True) == 2
        assert await broker.settle(Commit("work", [Outcome(held, "done")])) == [held]
        assert [lease.message.id for lease in await some(broker, "work")] == ["d"]


async def test_moves_choose_by_id(url: str) -> None:
    async with cleared(url, Queue("work"), Queue("other")) as broker:
        await put(broker, "a", "b", "c")
        assert await broker.move("work", "other", ["c", "a"]) == 2
        assert sorted(lease.message.id for lease in await some(broker, "other")) == ["a", "c"]
        assert [lease.message.id for lease in await some(broker, "work")] == ["b"]


async def test_what_cannot_be_done_is_said(url: str) -> None:
    async with cleared(url, Queue("work")) as broker:
        with pytest.raises(BrokerError, match="no message groups"):
            await broker.declare([Queue("line", fifo=True)])
        with pytest.raises(BrokerError, match="too long"):
            await broker.declare([Queue("q" * 200)])
        with pytest.raises(BrokerError, match="longer than"):
            await put(broker, "a", delay_s=1e8)
        await put(broker, "a")
        (lease,) = await some(broker, "work")
        with pytest.raises(BrokerError, match="without a death"):
            await broker.settle(Commit("work", [Outcome(lease, "dead")]))
        assert await done(broker, [lease]) == []
