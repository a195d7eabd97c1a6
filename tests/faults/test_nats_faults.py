"""NATS that restarts, is killed, paused or emptied, connections that are cut, and workers that wake too late."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from millrace.broker import Broker, Queue, handle_of, lease_of
from millrace.brokers.nats import link as link_module
from millrace.brokers.nats import open_broker, take
from millrace.brokers.nats.api import ApiError
from millrace.brokers.nats.broker import NatsBroker
from millrace.brokers.nats.names import CONSUMER
from millrace.errors import BrokerError, QueueFull, TooLarge, UnknownQueue
from millrace.types import Commit, Death, Failure, Lease, Message, Outcome, Put
from tests.faults.insisting import insisted
from tests.needs import needs
from tests.services.nats import Nats
from tests.services.proxy import proxied

_PATIENCE_S = 60.0
_LEASE_S = 1.0


@pytest.fixture(scope="module")
def lasting() -> Iterator[Nats]:
    """A server for those tests that leave it alone."""
    needs("nats-server", Nats.program())
    with Nats() as server:
        server.start()
        yield server


@pytest.fixture
def server() -> Iterator[Nats]:
    needs("nats-server", Nats.program())
    with Nats() as server:
        server.start()
        yield server


def fresh(url: str) -> str:
    return f"{url}?prefix=t{secrets.token_hex(4)}."


@asynccontextmanager
async def broker_at(url: str, **queue: object) -> AsyncIterator[NatsBroker]:
    broker = await open_broker(url)
    assert isinstance(broker, NatsBroker)
    await broker.declare([Queue("work", **{"lease_s": _LEASE_S} | queue)])
    yield broker
    await broker.close()


async def put(broker: Broker, *ids: str) -> list[bool]:
    return [answer.duplicate for answer in await broker.put([Put("work", Message(id, b"x" * 200)) for id in ids])]


async def settle(broker: Broker, leases: list[Lease], verdict: str = "done", **how: object) -> list[Lease]:
    return await broker.settle(Commit("work", [Outcome(lease, verdict, **how) for lease in leases]))


async def taken(broker: Broker) -> list[Lease]:
    """Whatever comes first."""
    async with asyncio.timeout(_PATIENCE_S):
        while not (leases := await broker.take("work", 100)):
            await broker.wait("work", 1.0)
    return leases


async def producing(broker: Broker, accepted: set[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        ids = [secrets.token_hex(8) for _ in range(20)]
        await insisted(lambda ids=ids: put(broker, *ids))
        accepted.update(ids)
        await asyncio.sleep(0.005)


async def working(broker: Broker, done: set[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        leases = await insisted(lambda: broker.take("work", 50))
        if leases:
            await insisted(lambda leases=leases: settle(broker, leases))
            done.update(lease.message.id for lease in leases)
        else:
            await broker.wait("work", 0.2)


async def everything_comes_through(produce: Broker, work: Broker, trouble) -> None:
    """Nothing that was accepted is missing, whatever happens meanwhile."""
    accepted: set[str] = set()
    done: set[str] = set()
    stop_producing, stop_working = asyncio.Event(), asyncio.Event()
    producer = asyncio.create_task(producing(produce, accepted, stop_producing))
    worker = asyncio.create_task(working(work, done, stop_working))
    async with asyncio.timeout(_PATIENCE_S):
        while len(done) < 100:
            await asyncio.sleep(0.01)
        await trouble()
        before = len(done)
        while len(done) < before + 100:
            await asyncio.sleep(0.01)
        stop_producing.set()
        await producer
        while not accepted <= done:
            await asyncio.sleep(0.01)
        stop_working.set()
        await worker


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_a_server_that_comes_back(server: Nats, how: str, caplog: pytest.LogCaptureFixture) -> None:
    async with broker_at(server.url) as produce, broker_at(server.url) as work:
        with caplog.at_level(logging.WARNING, link_module.__name__):

            async def trouble() -> None:
                if how == "kill":
                    await asyncio.to_thread(server.kill)
                    await asyncio.sleep(0.3)
                await asyncio.to_thread(server.restart)

            await everything_comes_through(produce, work, trouble)
    lines = [record.getMessage() for record in caplog.records if record.name == link_module.__name__]
    assert len([line for line in lines if "connection lost" in line]) == 2, f"expected a line for each broker: {lines}"
    assert len([line for line in lines if "connected again" in line]) == 2, f"expected a line for each broker: {lines}"


async def test_connections_that_are_cut(lasting: Nats) -> None:
    with proxied("127.0.0.1", lasting.port) as proxy:
        url = fresh(f"nats://127.0.0.1:{proxy.port}")
        async with broker_at(url) as produce, broker_at(url) as work:

            async def trouble() -> None:
                for _ in range(5):
                    await asyncio.to_thread(proxy.cut)
                    await asyncio.sleep(0.2)

            await everything_comes_through(produce, work, trouble)


async def test_a_network_that_is_silent_is_noticed(
    lasting: Nats, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "_SILENCE_S", 0.2)
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.5)
    with proxied("127.0.0.1", lasting.port) as proxy:
        async with broker_at(fresh(f"nats://127.0.0.1:{proxy.port}")) as broker:
            await asyncio.to_thread(proxy.hold)
            with pytest.raises(BrokerError, match=r"answer|reached"):
                await put(broker, "a")
            async with asyncio.timeout(_PATIENCE_S):
                while "silent for" not in caplog.text:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(proxy.flow)
            await insisted(lambda: put(broker, "a", "b"))
            assert {lease.message.id for lease in await taken(broker)} >= {"a"}, "expected what was put"


async def test_a_stream_that_is_deleted_is_made_anew(lasting: Nats, caplog: pytest.LogCaptureFixture) -> None:
    url = fresh(lasting.url)
    async with broker_at(url) as broker, broker_at(url) as other:
        await put(broker, "a")
        (old,) = await taken(other)
        api, stream = broker._api, (await broker._queues.named("work")).stream
        await api.call(f"STREAM.DELETE.{stream}")
        assert await put(broker, "b") == [False], "expected the stream to be made anew"
        assert [lease.message.id for lease in await taken(other)] == ["b"], "expected both to use it"
        assert len(await settle(other, [old])) == 1, "expected the old lease to be lost"
        await api.call(f"CONSUMER.DELETE.{stream}.{CONSUMER}")
        assert [lease.message.id for lease in await taken(broker)] == ["b"], "expected the consumer to be made anew"
        await api.call(f"STREAM.DELETE.{stream}")
        assert (await broker.stats("work")).depth == 0
    assert "was deleted with all that was in it" in caplog.text


async def test_a_consumer_that_is_deleted_before_a_settle(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url)) as broker:
        await put(broker, "a", "b")
        leases = await taken(broker)
        stream = (await broker._queues.named("work")).stream
        await broker._api.call(f"CONSUMER.DELETE.{stream}.{CONSUMER}")
        assert await settle(broker, leases) == [], "expected the leases to be ours still"
        assert await broker.take("work", 10) == [], "expected that what is done does not come again"


async def test_a_dropped_queue_stays_dropped_for_others(lasting: Nats) -> None:
    url = fresh(lasting.url)
    async with broker_at(url) as broker, broker_at(url) as other:
        await put(other, "a")
        await broker.drop(["work"])
        answers = await asyncio.gather(*(other.take("work", 1) for _ in range(2)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [UnknownQueue] * 2, f"got {answers}"
        with pytest.raises(UnknownQueue):
            await put(other, "a")


async def test_a_queue_declared_anew_is_another(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url)) as broker:
        before = broker._puller(await broker._queues.named("work"))
        await broker.drop(["work"])
        await broker.declare([Queue("work", lease_s=20.0)])
        await put(broker, "a")
        assert len(await taken(broker)) == 1
        assert broker._puller(await broker._queues.named("work")) is not before, "expected its new settings to hold"


async def test_who_wakes_too_late_cannot_settle_what_another_process_has(lasting: Nats) -> None:
    url = fresh(lasting.url)
    async with broker_at(url) as slow, broker_at(url) as quick:
        await put(slow, "a")
        (old,) = await slow.take("work", 1)
        (new,) = await taken(quick)
        death = Death("dead", Failure("E", "no"), "work", 1, 1.0, 1.0)
        for verdict in ("done", "retry", "release", "dead"):
            assert await settle(slow, [old], verdict, death=death) == [old], f"expected {verdict} to be lost"
        assert await slow.extend([old], 5.0) == [], "expected the lease to be lost"
        assert await slow.standing([old]) == ["lost"]
        assert await quick.standing([new]) == ["held"]
        assert new.attempt == 2, "expected the first delivery to be counted"
        assert await settle(quick, [new]) == [], "expected it to be quick's"
        assert await slow.standing([old]) == ["gone"]


async def test_who_renews_too_late_keeps_what_nobody_took(lasting: Nats) -> None:
    """JetStream offers it to others already; they leave it, uncounted."""
    url = fresh(lasting.url)
    async with broker_at(url) as slow, broker_at(url) as quick:
        await put(slow, "a")
        (old,) = await slow.take("work", 1)
        await asyncio.sleep(1.3 * _LEASE_S)
        (renewed,) = await slow.extend([old], 20.0)
        assert await quick.take("work", 1) == [], "expected the renewed lease to hold"
        (renewed,) = await slow.extend([renewed], 20.0)
        assert await settle(slow, [renewed], "retry") == [], "expected it to be slow's"
        (again,) = await taken(quick)
        assert again.attempt == 2, "expected the delivery that quick left not to be counted"
        assert await settle(quick, [again]) == []


async def test_a_handle_settles_in_another_process(lasting: Nats) -> None:
    url = fresh(lasting.url)
    async with broker_at(url) as taker, broker_at(url) as settler:
        await put(taker, "a", "b")
        leases = await taker.take("work", 2)
        first, second = (lease_of("work", handle_of(lease.receipt)) for lease in leases)
        assert await settler.standing([first]) == ["held"]
        assert [(each.state, each.attempts) for each in await settler.peek("work")] == [("in_flight", 1)] * 2
        assert await settle(settler, [first, second]) == [], "expected a receipt to be enough"
        assert await settle(settler, [first]) == [first], "expected a lease to end once"
        assert await taker.take("work", 1) == []


async def test_a_retry_that_another_process_was_faster_with_takes_it_from_nobody(lasting: Nats) -> None:
    url = fresh(lasting.url)
    async with broker_at(url, lease_s=300.0) as taker, broker_at(url, lease_s=300.0) as other:
        await put(taker, "a")
        (first,) = await taker.take("work", 1)
        assert await settle(other, [lease_of("work", handle_of(first.receipt))], "retry") == []
        (second,) = await taken(other)
        assert await settle(taker, [first], "retry") == [first]
        assert await taker.take("work", 1) == [], "expected it to be the other's still"
        assert await settle(other, [second]) == []


async def test_what_woke_nobody_goes_back_uncounted(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url), max_receives=1) as broker:
        waiting = asyncio.create_task(broker.wait("work", 30.0))
        await asyncio.sleep(0.05)
        await put(broker, "a")
        await waiting
        assert (await broker.stats("work")).depth == 1, "expected what nobody took to count as waiting"
        await asyncio.sleep(_LEASE_S)
        (lease,) = await taken(broker)
        assert lease.attempt == 1, "expected the delivery that nobody took not to be counted"


async def test_what_was_on_its_way_for_too_long_is_not_trusted(lasting: Nats) -> None:
    """As after a pause of the whole process: somebody else may have got it since."""
    async with broker_at(fresh(lasting.url)) as broker:
        await put(broker, "a")
        await broker.wait("work", 30.0)
        puller = broker._puller(await broker._queues.named("work"))
        puller._ready[0] = msgspec.structs.replace(puller._ready[0], since=puller._ready[0].since - 10 * _LEASE_S)
        assert await broker.take("work", 1) == [], "expected it to be left"
        (lease,) = await taken(broker)
        assert lease.attempt == 2


async def test_close_gives_back_what_nobody_took(lasting: Nats) -> None:
    url = fresh(lasting.url)
    async with broker_at(url, lease_s=30.0, max_receives=1) as other:
        async with broker_at(url, lease_s=30.0, max_receives=1) as broker:
            await put(broker, "a")
            await broker.wait("work", 30.0)
        (lease,) = await taken(other)
        assert lease.attempt == 1


async def test_a_take_that_is_cancelled_gives_back(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url), lease_s=30.0) as broker:
        await put(broker, "a", "b")
        puller = broker._puller(await broker._queues.named("work"))
        pulling = asyncio.create_task(puller.pull(10, None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)
        found: list[Lease] = []
        async with asyncio.timeout(_PATIENCE_S):
            while len(found) < 2:
                found += await broker.take("work", 10)
        assert {lease.attempt for lease in found} == {1}, "expected nothing to be counted"


async def refuse_letters(broker: NatsBroker, refuse: bool) -> None:
    """Whether the stream of dead letters is too narrow for any."""
    config = (await broker._api.stream((await broker._queues.named("work.dead")).stream) or {})["config"]
    await broker._api.call(f"STREAM.UPDATE.{config['name']}", config | {"max_msg_size": 1 if refuse else -1})


@asynccontextmanager
async def refusing_letters(broker: NatsBroker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """No letter is taken meanwhile; the one that was refused is taken after it, and tells of the one try."""
    monkeypatch.setattr(take, "_BURY_AGAIN_S", 0.1)
    await refuse_letters(broker, True)
    yield
    await refuse_letters(broker, False)
    death = await letter_of(broker)
    assert (death.reason, death.attempts) == ("failed", 1), "expected takes that could not bury to be forgotten"


async def letter_of(broker: NatsBroker) -> Death:
    """The death of the one letter, once what was to be buried came again and was."""
    async with asyncio.timeout(_PATIENCE_S):
        while not (letters := await broker.peek("work.dead")):
            assert await broker.take("work", 10) == [], "expected that nobody runs what is to be buried"
            await broker.wait("work", 1.0)
    (letter,) = letters
    assert letter.death is not None
    return letter.death


async def died(broker: NatsBroker, id: str) -> None:
    """Put a message that its only try has used up."""
    await put(broker, id)
    assert await settle(broker, await broker.take("work", 1), "retry") == []


async def test_a_lease_that_runs_out_after_a_retry_is_a_death_by_a_lost_lease(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url), max_receives=2) as broker:
        await put(broker, "a")
        assert await settle(broker, await broker.take("work", 1), "retry") == []
        assert [lease.attempt for lease in await taken(broker)] == [2]
        death = await letter_of(broker)
        assert (death.reason, death.attempts) == ("lost", 2)


async def test_a_letter_that_is_refused_keeps_no_lease_from_its_taker(
    lasting: Nats, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0, max_receives=1) as broker:
        await died(broker, "a")
        await put(broker, "b")
        async with refusing_letters(broker, monkeypatch):
            (lease,) = await broker.take("work", 10)
            assert (lease.message.id, lease.attempt) == ("b", 1)
            assert await settle(broker, [lease]) == [], "expected it to be ours"
    assert "1 messages of work that nobody may take any more stay for now" in caplog.text


async def test_a_take_that_has_only_letters_says_why_they_are_refused(
    lasting: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0, max_receives=1) as broker:
        await died(broker, "a")
        async with refusing_letters(broker, monkeypatch):
            for _ in range(2):
                with pytest.raises(BrokerError, match="a dead letter of work"):
                    await taken(broker)


async def test_a_take_that_is_called_off_gives_back_what_it_had_leased_before(
    lasting: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0) as broker:
        queue = await broker._queues.named("work")
        await put(broker, "a")
        await broker.wait("work", 30.0)
        pulling = asyncio.Event()

        async def pull(*_: object) -> None:
            pulling.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(broker._puller(queue), "pull", pull)
            taking = asyncio.create_task(broker.take("work", 10))
            await pulling.wait()
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        (lease,) = await taken(broker)
        assert (lease.message.id, lease.attempt) == ("a", 1)


async def test_a_take_that_is_called_off_while_it_buries_gives_back_uncounted(
    lasting: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0, max_receives=1) as broker:
        await died(broker, "a")
        await put(broker, "b")
        burying = asyncio.Event()

        async def bury(*_: object) -> None:
            burying.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(broker._taker._letters, "bury", bury)
            taking = asyncio.create_task(broker.take("work", 10))
            await burying.wait()
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        (lease,) = await taken(broker)
        assert (lease.message.id, lease.attempt) == ("b", 1)
        assert (await letter_of(broker)).attempts == 1


async def test_a_take_that_cannot_read_its_notes_gives_back_what_it_got(
    lasting: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0, max_receives=2) as broker:
        await died(broker, "a")
        await put(broker, "b")

        async def look(*_: object) -> None:
            monkeypatch.undo()
            raise BrokerError("no answer")

        monkeypatch.setattr(broker._fence, "look", look)
        with pytest.raises(BrokerError, match="no answer"):
            await broker.take("work", 10)
        found: dict[str, int] = {}
        while len(found) < 2:
            found |= {lease.message.id: lease.attempt for lease in await taken(broker)}
        assert found == {"a": 2, "b": 1}, "expected the take that failed not to be counted"


async def test_a_settle_that_failed_after_it_had_noted_a_retry_is_called_again(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0) as broker:
        await put(broker, "a", "b", "c")
        again, freed, dead = await broker.take("work", 3)
        death = Death("failed", Failure("ValueError", "no"), "work", 1, 0.0, 0.0)
        commit = Commit(
            "work", [Outcome(again, "retry"), Outcome(freed, "release"), Outcome(dead, "dead", death=death)]
        )
        await refuse_letters(broker, True)
        for _ in range(2):
            with pytest.raises(BrokerError, match="a dead letter of work"):
                await broker.settle(commit)
        await refuse_letters(broker, False)
        assert await broker.settle(commit) == [], "expected none to be lost by a settle that said that it failed"
        assert [(each.message.id, each.attempt) for each in await broker.take("work", 3)] == [("a", 2), ("b", 1)]
        assert [each.message.id for each in await broker.peek("work.dead")] == ["c"]


async def test_letters_whose_stream_was_deleted_get_another(lasting: Nats, caplog: pytest.LogCaptureFixture) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0, max_receives=1) as broker:
        await died(broker, "a")
        await put(broker, "b")
        await broker._api.call(f"STREAM.DELETE.{(await broker._queues.named('work.dead')).stream}")
        (lease,) = await broker.take("work", 10)
        assert lease.message.id == "b"
        assert [each.message.id for each in await broker.peek("work.dead")] == ["a"]
    assert "queue work.dead: its stream" in caplog.text


async def test_what_is_given_back_twice_stays_with_whoever_got_it_between(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url), lease_s=300.0) as broker:
        await put(broker, "a")
        queue = await broker._queues.named("work")
        found, _ = await broker._puller(queue).pull(1, None)
        await broker._fence.give_back(queue, found)
        (lease,) = await taken(broker)
        await broker._fence.give_back(queue, found)
        assert await broker.take("work", 1) == [], "expected it to be leased"
        assert lease.attempt == 1
        assert await settle(broker, [lease], "retry") == []
        (again,) = await taken(broker)
        assert again.attempt == 2, "expected one delivery not to be counted"


async def test_racing_puts_do_not_exceed_max_depth(lasting: Nats) -> None:
    url = fresh(lasting.url)
    async with broker_at(url, max_depth=10) as one, broker_at(url, max_depth=10) as two:
        puts = [put(each, *(f"{secrets.token_hex(4)}" for _ in range(4))) for each in (one, two) for _ in range(5)]
        answers = await asyncio.gather(*puts, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, QueueFull)]
        assert len(refused) + sum(isinstance(answer, list) for answer in answers) == 10, f"got {answers}"
        accepted = 4 * (10 - len(refused))
        assert (await one.stats("work")).depth == accepted <= 10, "expected the whole of each put or nothing of it"


async def test_a_full_queue_stops_a_move(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url)) as broker:
        await broker.declare([Queue("small", max_depth=2)])
        await put(broker, "a", "b", "c")
        with pytest.raises(QueueFull, match="2 messages were moved"):
            await broker.move("work", "small")
        with pytest.raises(QueueFull, match="0 messages were moved"):
            await broker.move("work", "small")
        assert [each.message.id for each in await broker.peek("work")] == ["c"], "expected the rest to stay"
        await broker._api.call(f"STREAM.DELETE.{(await broker._queues.named('small')).stream}")
        assert await broker.move("work", "small") == 1, "expected the target to be made anew"


async def test_a_server_whose_disk_is_full_refuses_and_goes_on() -> None:
    needs("nats-server", Nats.program())
    with Nats({"max_file": "2MB"}) as server:
        server.start()
        async with broker_at(server.url) as broker:
            accepted = 0
            with pytest.raises(BrokerError):  # noqa: PT012 - at which put is the server's to say
                for number in range(100):
                    await broker.put([Put("work", Message(f"m{number}", b"x" * 100_000))])
                    accepted += 1
            assert accepted > 5
            seen = 0
            while leases := await broker.take("work", 5):
                seen += len(leases)
                assert await settle(broker, leases) == []
            assert seen == accepted, "expected all that was accepted"
            assert await put(broker, "again") == [False]


async def test_a_stream_of_somebody_else_is_left_alone(lasting: Nats) -> None:
    async with broker_at(lasting.url + "?prefix=mine.&replicas=1&window=60") as broker:
        made = await broker._api.stream((await broker._queues.named("work")).stream)
        assert made is not None
        assert made["config"]["duplicate_window"] == 60e9
        api = broker._api
        name = f"orders{secrets.token_hex(4)}"
        await api.call(f"STREAM.CREATE.mine=2E{name}", {"name": f"mine=2E{name}", "subjects": [f"mine.{name}"]})
        with pytest.raises(BrokerError, match="retention limits") as refused:
            await broker.declare([Queue(name)])
        assert "another name" in refused.value.hint
        await api.call(f"STREAM.CREATE.all{name}", {"name": f"all{name}", "subjects": [f"mine.x{name}"]})
        with pytest.raises(BrokerError, match="cannot be made"):
            await broker.declare([Queue(f"x{name}")])


async def test_messages_of_others_are_read(lasting: Nats) -> None:
    """A program that knows NATS alone publishes to the queue's name."""
    async with broker_at(fresh(lasting.url), ttl_s=30.0) as broker:
        subject = (await broker._queues.named("work")).subject
        link = broker._api.link
        await link.ask(subject, b"plain")
        head = b"NATS/1.0\r\nContent-Type: image/png\r\nNats-Msg-Id: theirs\r\nmillrace-due-at: soon\r\n\r\n"
        await link.ask(subject, b"named", head)
        plain, named = sorted(await broker.take("work", 10), key=lambda lease: lease.sequence)
        assert plain.message.body == b"plain"
        assert plain.message.id
        assert plain.message.sent_at > 1e9
        assert plain.deadline < float("inf"), "expected the queue's time to live"
        assert (named.message.id, named.message.attributes) == ("theirs", {"content-type": "image/png"})


async def test_a_death_that_is_too_long_is_told_in_few_words(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url)) as broker:
        await broker.put([Put("work", Message("a", b"x" * 1_000_000))])
        (lease,) = await broker.take("work", 1)
        death = Death("dead", Failure("E", "m" * 100_000, "t" * 100_000 + "end"), "work", 1, 1.0, 1.0)
        assert await settle(broker, [lease], "dead", death=death) == []
        (letter,) = await broker.peek("work.dead")
        assert letter.death is not None
        assert letter.death.failure.traceback.endswith("end")
        assert len(letter.death.failure.traceback) == 500


async def test_letters_that_find_no_room_stay_behind(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url)) as broker:
        await broker.declare([Queue("letters", max_depth=1), Queue("work", dead_to="letters")])
        await put(broker, "a", "b")
        death = Death("dead", Failure("E", "no"), "work", 1, 1.0, 1.0)
        assert await settle(broker, await broker.take("work", 2), "dead", death=death) == []
        assert [each.message.id for each in await broker.peek("letters")] == ["a"]
        assert [each.message.id for each in await broker.peek("work.dead")] == ["b"]
        (lease,) = await broker.take("letters", 1)
        with pytest.raises(BrokerError, match="without a death"):
            await broker.settle(Commit("letters", [Outcome(lease, "dead")]))


async def test_gaps_are_leapt(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url), lease_s=30.0) as broker:
        await put(broker, *(f"m{number:03}" for number in range(600)))
        leases = await broker.take("work", 599)
        assert await settle(broker, leases[1:]) == []
        assert [each.message.id for each in await broker.peek("work", 5)] == ["m000", "m599"]
        assert await broker.peek("work", 0) == []
        assert await broker.purge("work") == 1, "expected the one that waits"


async def test_one_is_given_however_large(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url)) as broker:
        await broker.put([Put("work", Message(f"m{number}", b"x" * 200_000)) for number in range(3)])
        assert [lease.message.id for lease in await broker.take("work", 10, max_bytes=1)] == ["m0"]
        assert [lease.message.id for lease in await broker.take("work", 10, max_bytes=400_000)] == ["m1", "m2"]
        with pytest.raises(TooLarge):
            await broker.put([Put("work", Message("a", b"", {"a": "x" * 1_100_000}))])


async def test_who_waits_is_woken_by_a_lost_connection(lasting: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxied("127.0.0.1", lasting.port) as proxy:
        async with broker_at(fresh(f"nats://127.0.0.1:{proxy.port}"), lease_s=60.0) as broker:
            waiting = asyncio.create_task(broker.wait("work", 60.0))
            await asyncio.sleep(0.05)
            await asyncio.to_thread(proxy.refuse)
            async with asyncio.timeout(_PATIENCE_S):
                await waiting
            monkeypatch.setattr(link_module, "PATIENCE_S", 0.05)
            async with asyncio.timeout(_PATIENCE_S):
                await broker.wait("work", 60.0)
            monkeypatch.undo()
            await asyncio.to_thread(proxy.accept)
            assert await insisted(lambda: put(broker, "a")) == [False]


async def test_who_waits_for_what_was_deleted_does_not_wait_for_ever(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url), lease_s=0.5) as broker:
        stream = (await broker._queues.named("work")).stream
        await broker._api.call(f"CONSUMER.DELETE.{stream}.{CONSUMER}")
        async with asyncio.timeout(_PATIENCE_S):
            await broker.wait("work", 60.0)


async def test_notes_that_are_deleted_are_made_anew(lasting: Nats) -> None:
    async with broker_at(fresh(lasting.url)) as broker:
        await put(broker, "a")
        await settle(broker, await broker.take("work", 1), "retry")
        await broker._api.call(f"STREAM.DELETE.{broker._notes.stream}")
        (lease,) = await taken(broker)
        assert lease.message.id == "a"
        assert lease.attempt >= 2, "expected no delivery to be forgotten"
        assert await settle(broker, [lease]) == []


async def test_a_description_that_is_not_ours_is_no_queue(lasting: Nats) -> None:
    url = fresh(lasting.url)
    async with broker_at(url) as broker, broker_at(url) as other:
        name = secrets.token_hex(4)
        await broker._api.call(
            f"STREAM.CREATE.{name}", {"name": name, "subjects": [name], "description": "millrace of another kind"}
        )
        assert set(await broker.queues()) == {"work", "work.dead"}
        await broker._api.call(f"STREAM.DELETE.{(await broker._queues.named('work.dead')).stream}")
        assert (await other.stats("work")).dead == 0, "expected no error for letters that are not there"
        refused = ApiError(1, "no")

        async def refusing(_queue: object) -> None:
            raise refused

        with pytest.raises(ApiError):
            await broker._queues.using("work", refusing)


async def test_a_paused_server_answers_later(server: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.5)
    async with broker_at(server.url) as broker:
        await put(broker, "a")
        server.pause()
        try:
            with pytest.raises(BrokerError, match="answer"):
                await broker.take("work", 1)
            with pytest.raises(BrokerError, match="answer"):
                await put(broker, "b")
        finally:
            server.resume()
        seen: set[str] = set()
        async with asyncio.timeout(_PATIENCE_S):
            while not {"a"} <= seen:
                leases = await taken(broker)
                seen |= {lease.message.id for lease in leases}
                await settle(broker, leases)
