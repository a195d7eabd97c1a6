"""move-queue between brokers of this process: what goes along, what a crash leaves, and what the command says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from millrace import cli
from millrace.app import moving
from millrace.app.moving import Moved, Mover, opened
from millrace.broker import DEATH_ATTRIBUTE, Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.memory import MemoryBroker
from millrace.clock import SystemClock
from millrace.config.load import load
from millrace.errors import BrokerError
from millrace.testing import ManualClock
from millrace.types import Accepted, Commit, Death, Failure, Lease, Message, Outcome, Put

DEATH = Death("failed", Failure("ValueError", "too dark", "Traceback\n" + "x" * 9000), "images", 5, 1.0, 2.0, "f")
PROJECT = "service: x\nqueues: {images: {ttl: 1h, dead: bin}, bin: {}, labels: {}}\n"


class Elsewhere(MemoryBroker):
    """A broker as those elsewhere are: it does not remember what is done, and cannot show or purge by id."""

    capabilities = msgspec.structs.replace(
        MemoryBroker.capabilities, transactional=False, dedupe=False, browsable=False
    )

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        raise AssertionError("this broker cannot purge by id")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def made(kind: type[MemoryBroker], clock: ManualClock, **settings: Any) -> MemoryBroker:
    broker = kind(clock)
    await broker.declare([Queue("images", **settings), Queue("labels", dedupe_s=0.0)])
    return broker


@pytest.fixture(params=[MemoryBroker, Elsewhere])
async def source(request: pytest.FixtureRequest, clock: ManualClock) -> MemoryBroker:
    return await made(request.param, clock, dedupe_s=0.0)


@pytest.fixture
async def target(clock: ManualClock) -> MemoryBroker:
    return await made(MemoryBroker, clock, dedupe_s=100.0)


def mover(source: Broker, target: Broker, clock: ManualClock, to: str = "images") -> Mover:
    return Mover(source, "images", target, to, clock, lambda moved: None)


async def put(broker: Broker, *ids: str, **how: Any) -> None:
    await broker.put([Put("images", Message(id, b"body of " + id.encode(), {"a": "b"}, 7.0), **how) for id in ids])


async def buried(broker: Broker, *ids: str) -> None:
    await put(broker, *ids)
    leases = await broker.take("images", 10)
    await broker.settle(Commit("images", [Outcome(lease, "dead", death=DEATH) for lease in leases]))


async def test_everything_of_a_message_goes_along(
    source: MemoryBroker, target: MemoryBroker, clock: ManualClock
) -> None:
    await put(source, "a", ttl_s=50.0)
    await put(source, *map(str, range(500)))
    clock.advance(20.0)
    assert await mover(source, target, clock).run() == Moved(messages=501)
    stats = await source.stats("images")
    assert (stats.depth, stats.in_flight, stats.delayed, stats.dead) == (0, 0, 0, 0)
    leases = await target.take("images", 1000)
    assert [lease.message.id for lease in leases] == ["a", *map(str, range(500))]
    assert leases[0].message == Message("a", b"body of a", {"a": "b"}, 7.0)
    assert leases[0].attempt == 1
    assert leases[0].deadline == pytest.approx(clock.monotonic() + 30.0)


async def test_its_attempts_go_along(source: MemoryBroker, target: MemoryBroker, clock: ManualClock) -> None:
    await put(source, "a", "b")
    (failed,) = await source.take("images", 1)
    await source.settle(Commit("images", [Outcome(failed, "retry")]))
    since = clock.now()
    clock.advance(5.0)
    await mover(source, target, clock).run()
    leases = {lease.message.id: lease for lease in await target.take("images", 10)}
    assert (leases["a"].attempt, leases["a"].first_failed_at) == (2, since)
    assert (leases["b"].attempt, leases["b"].first_failed_at) == (1, 0.0)


async def test_another_queue_may_get_them(source: MemoryBroker, target: MemoryBroker, clock: ManualClock) -> None:
    await put(source, "a")
    await mover(source, target, clock, "labels").run()
    assert [lease.message.id for lease in await target.take("labels", 10)] == ["a"]


async def test_dead_letters_go_along_with_why_they_died(
    source: MemoryBroker, target: MemoryBroker, clock: ManualClock
) -> None:
    await buried(source, "x", "y")
    assert await mover(source, target, clock).run() == Moved(dead=2)
    assert (await source.stats("images")).dead == 0
    letters = await target.peek("images.dead")
    assert [letter.message.id for letter in letters] == ["x", "y"]
    death = msgspec.json.decode(letters[0].message.attributes[DEATH_ATTRIBUTE], type=Death)
    assert (death.reason, death.failure.message, death.attempts) == ("failed", "too dark", 5)
    assert len(death.failure.traceback) == 4000


async def test_what_was_moved_before_a_crash_is_moved_once(
    source: MemoryBroker, target: MemoryBroker, clock: ManualClock
) -> None:
    await put(source, "a", "b")
    await target.put([Put("images", lease.message) for lease in await source.take("images", 1)])
    clock.advance(31.0)  # the lease of the one who crashed
    assert await mover(source, target, clock).run() == Moved(messages=2, known=1)
    assert sorted(lease.message.id for lease in await target.take("images", 10)) == ["a", "b"]


async def test_what_a_target_remembers_but_may_not_have_is_left(source: MemoryBroker, clock: ManualClock) -> None:
    target = await made(Elsewhere, clock, dedupe_s=100.0)  # it knows ids for a while, and does not claim to
    await put(target, "a")
    await target.settle(Commit("images", [Outcome(lease, "done") for lease in await target.take("images", 1)]))
    await put(source, "a", "b")
    assert await mover(source, target, clock).run() == Moved(messages=1, unsure=1)
    stats = await source.stats("images")
    assert (stats.depth, stats.in_flight) == (1, 0)
    clock.advance(101.0)
    assert await mover(source, target, clock).run() == Moved(messages=1)
    assert sorted(lease.message.id for lease in await target.take("images", 10)) == ["a", "b"]


async def test_so_are_dead_letters(source: MemoryBroker, clock: ManualClock) -> None:
    target = await made(Elsewhere, clock, dedupe_s=100.0)
    await target.put([Put("images.dead", Message("x"))])
    await buried(source, "x", "y")
    assert await mover(source, target, clock).run() == Moved(dead=1, unsure=1)
    clock.advance(31.0)
    assert [letter.message.id for letter in await MemoryBroker.peek(source, "images.dead")] == ["x"]


async def test_large_dead_letters_are_few_at_once(
    source: MemoryBroker, target: MemoryBroker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_AT_ONCE_BYTES", 25)  # two bodies
    for number in range(24):
        await buried(source, str(number))
    looked: list[int] = []
    peek = source.peek

    async def counted(queue: str, limit: int = 10, **chosen: Any) -> list[Peeked]:
        looked.append(limit)
        return await peek(queue, limit, **chosen)

    monkeypatch.setattr(source, "peek", counted)
    assert await mover(source, target, clock).run() == Moved(dead=24)
    assert looked[0] == 10
    assert set(looked[1:]) == {2}


async def test_a_queue_that_went_comes_back(source: MemoryBroker, target: MemoryBroker, clock: ManualClock) -> None:
    await put(target, "a")
    back = Mover(target, "images", source, "images", clock, lambda moved: None)
    assert await back.run() == Moved(messages=1)
    assert await mover(source, target, clock).run() == Moved(messages=1)
    assert [lease.message.id for lease in await target.take("images", 10)] == ["a"]


async def test_a_message_that_the_target_refuses_stays(
    source: MemoryBroker, target: MemoryBroker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(puts: Sequence[Put]) -> list[Accepted]:
        raise BrokerError("away")

    await put(source, "a")
    monkeypatch.setattr(target, "put", refuse)
    with pytest.raises(BrokerError):
        await mover(source, target, clock).run()
    (lease,) = await source.take("images", 10)
    assert (lease.message.id, lease.attempt) == ("a", 1)


async def test_what_cannot_be_had_now_is_counted_or_waited_for(
    source: MemoryBroker, target: MemoryBroker, clock: ManualClock
) -> None:
    await put(source, "held")
    await source.take("images", 1)
    await put(source, "later", delay_s=10.0)
    assert await mover(source, target, clock).run() == Moved(hidden=1, in_flight=1)
    waiting = asyncio.create_task(mover(source, target, clock).run(60.0))
    while not waiting.done():
        sleeping = asyncio.ensure_future(clock.until_sleeping())
        await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        clock.advance(1.0)
    assert await waiting == Moved(messages=2)


async def test_what_waits_behind_a_held_message_of_its_group_is_counted_and_not_waited_for(
    target: MemoryBroker, clock: ManualClock
) -> None:
    source = await made(MemoryBroker, clock, fifo=True)
    await source.put([Put("images", Message(f"{number}", group="g")) for number in range(3)])
    await source.take("images", 1)
    moving = asyncio.create_task(mover(source, target, clock).run())
    assert await ticked(moving, clock, most=10) == Moved(in_flight=1, behind=2)


async def ticked(running: asyncio.Task[Moved], clock: ManualClock, most: int) -> Moved:
    """The answer of what waits for so many seconds at most."""
    for _ in range(most):
        sleeping = asyncio.ensure_future(clock.until_sleeping())
        await asyncio.wait({running, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        if running.done():
            break
        clock.advance(1.0)
    else:
        running.cancel()
    return await running


@pytest.mark.parametrize("died", [False, True])
async def test_a_queue_that_is_both_ends_keeps_everything(clock: ManualClock, died: bool) -> None:
    source = await made(MemoryBroker, clock)
    await (buried if died else put)(source, "a", "b")
    with pytest.raises(BrokerError, match="one and the same queue"):
        await mover(source, source, clock).run()
    stats = await source.stats("images")
    assert (stats.depth, stats.in_flight, stats.dead) == ((0, 0, 2) if died else (2, 0, 0))
    assert await mover(source, source, clock, "labels").run() == (Moved(dead=2) if died else Moved(messages=2))


class Ring:
    """A broker as RabbitMQ is: of ids it knows nothing, and by another address nobody can tell its leases."""

    capabilities = Elsewhere.capabilities

    def __init__(self, *ids: str, dead: Sequence[str] = ()) -> None:
        self.messages = {"images": [Message(id, b"") for id in ids], "images.dead": [Message(id, b"") for id in dead]}

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        for each in puts:
            self.messages[each.queue].append(each.message)
        return [Accepted(each.message.id) for each in puts]

    async def take(self, queue: str, limit: int, **_: Any) -> list[Lease]:
        taken, self.messages[queue] = self.messages[queue][:limit], self.messages[queue][limit:]
        return [Lease(queue, message, number, 1, 60.0) for number, message in enumerate(taken)]

    async def settle(self, commit: Commit) -> list[Lease]:
        back = [outcome.lease.message for outcome in commit.having("release")]
        self.messages[commit.queue] = back + self.messages[commit.queue]
        return []

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return ["lost"] * len(leases)

    async def stats(self, queue: str) -> Stats:
        return Stats(queue, len(self.messages[queue]), 0, 0, 0, 0.0)

    async def peek(self, queue: str, limit: int) -> list[Peeked]:
        return [Peeked(message, "ready", 0, DEATH) for message in self.messages[queue][:limit]]

    def ids(self, queue: str) -> list[str]:
        return sorted(message.id for message in self.messages[queue])


@pytest.mark.parametrize("count", [1, 450])
async def test_a_queue_that_nothing_tells_to_be_both_ends_goes_round_once(clock: ManualClock, count: int) -> None:
    ids = sorted(f"m{number}" for number in range(count))
    living, died = Ring(*ids), Ring(dead=ids)
    for ring in (living, died):
        with pytest.raises(BrokerError, match="one and the same queue"):
            await mover(ring, ring, clock).run()  # type: ignore[arg-type]
    assert (living.ids("images"), living.ids("images.dead")) == (ids, [])
    assert (died.ids("images"), died.ids("images.dead")) == ([], ids)


async def test_a_second_message_of_one_id_is_no_round(clock: ManualClock) -> None:
    ids = [f"m{number}" for number in range(300)]
    source, target = Ring(*ids, "m7", dead=[*ids, "m7"]), Ring()
    moved = await mover(source, target, clock).run()  # type: ignore[arg-type]
    assert (moved.messages, moved.dead) == (301, 301)
    assert target.ids("images") == target.ids("images.dead") == sorted([*ids, "m7"])


class Silent(Elsewhere):
    """A broker that drops what came under a key or id before, and says nothing of it, as FIFO queues of SQS do."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._seen: set[str] = set()

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        new = [each for each in puts if (each.dedupe or each.message.id) not in self._seen]
        self._seen |= {each.dedupe or each.message.id for each in new}
        await super().put(new)
        return [Accepted(each.message.id) for each in puts]


@pytest.mark.parametrize("died", [False, True])
async def test_a_target_that_drops_keys_in_silence_gets_none_twice(
    source: MemoryBroker, clock: ManualClock, died: bool
) -> None:
    target = await made(Silent, clock, dedupe_s=0.0)
    for _ in range(2):
        await (buried if died else put)(source, "a")
        assert await mover(source, target, clock).run() == (Moved(dead=1) if died else Moved(messages=1))
        assert await MemoryBroker.purge(target, "images.dead" if died else "images") == 1


async def test_a_moved_message_does_not_wait_again(source: MemoryBroker, clock: ManualClock) -> None:
    target = await made(MemoryBroker, clock, delay_s=60.0)
    await put(source, "a")
    await mover(source, target, clock).run()
    assert [lease.message.id for lease in await target.take("images", 10)] == ["a"]


async def test_a_large_body_is_taken_out_of_one_bucket_of_bodies_and_put_into_the_other(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    project = load(tmp_path)
    elsewhere = MemoryBroker(clock)

    async def open_broker(url: str, *, clock: Any) -> Broker:
        assert url == "able://"
        return elsewhere

    monkeypatch.setattr(moving, "open_broker", open_broker)
    monkeypatch.setattr("millrace.app.backend.LARGE_BODY", 1000)
    body = b"x" * 5000
    async with opened(project, None, "images", clock) as here:
        await here.put([Put("images", Message("a", body))])
        async with opened(project, "able://", "images", clock) as there:
            assert await mover(here, there, clock).run() == Moved(messages=1)
            (lease,) = await there.take("images", 1)
            assert lease.message.body == body
            assert {"images", "bin"} <= set(await there.queues())
    assert len(list((tmp_path / ".millrace" / "bodies").iterdir())) == 1


# ---- the command


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose other broker, able://, is one of memory that is kept between commands."""
    (tmp_path / "millrace.yml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    broker = MemoryBroker(SystemClock())

    async def open_broker(url: str, *, clock: Any) -> Broker:
        return broker

    monkeypatch.setattr(moving, "open_broker", open_broker)
    monkeypatch.setattr(MemoryBroker, "close", lambda _: asyncio.sleep(0))
    return broker


def test_the_command_moves_there_and_back(
    project: Path, elsewhere: MemoryBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        assert cli.run(["send", "images", f"{number}", "--id", f"{number}"]) == 0
    assert cli.run(["move-queue", "images", "--to", "amqp://there"]) == 0
    assert "3 messages of 'images' are in 'images'; 0 dead letters" in capsys.readouterr().out
    assert cli.run(["move-queue", "images", "--from", "amqp://there", "--to", "embedded", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == 3
    assert cli.run(["peek", "images", "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == ["0", "1", "2"]


def test_what_is_left_is_said(project: Path, elsewhere: MemoryBroker, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["send", "images", "x", "--delay", "1h"]) == 0
    assert cli.run(["move-queue", "images", "--to", "amqp://there"]) == 1
    assert "left: 1 that are delayed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("to", "size", "bodies", "is_said"),
    [
        ("amqp://there", 1001, "", True),
        ("amqp://there", 1000, "", False),
        ("amqp://127.0.0.1", 1001, "", False),
        ("amqp://there", 1001, "bodies: memory://b\n", False),
    ],
)
def test_bodies_that_stay_on_this_machine_are_told(
    project: Path,
    elsewhere: MemoryBroker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    to: str,
    size: int,
    bodies: str,
    is_said: bool,
) -> None:
    monkeypatch.setattr("millrace.config.fleet.LARGE_BODY", 1000)
    (project / "millrace.yml").write_text(PROJECT + bodies)
    assert cli.run(["send", "images", "x" * size]) == 0
    assert cli.run(["move-queue", "images", "--to", to]) == 0
    assert ("a folder of this machine" in capsys.readouterr().err) == is_said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["images", "--to", "embedded"], "there already"),
        (["imgaes", "--to", "amqp://there"], "did you mean 'images'?"),
        (["images", "--to", "amqp://there", "--queue", "lables"], "did you mean 'labels'?"),
        (["images.dead", "--to", "amqp://there"], "which go with their queue"),
        (["images", "--from", "amqp://127.0.0.1/", "--to", "amqp://127.0.0.1:5672/%2F"], "there already"),
        (["images", "--to", "ampq://there"], "ampq:// is no broker that millrace knows"),
    ],
)
def test_what_cannot_be_moved_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert cli.run(["move-queue", *arguments]) != 0
    assert why in capsys.readouterr().err


def test_a_dead_letter_from_elsewhere_is_shown_with_its_reason(
    project: Path, elsewhere: MemoryBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_bury(elsewhere))
    assert cli.run(["move-queue", "labels", "--from", "amqp://there", "--to", "embedded"]) == 0
    assert cli.run(["dead", "list", "labels"]) == 0
    assert "failed" in capsys.readouterr().out
    assert cli.run(["dead", "show", "labels", "x"]) == 0
    told = capsys.readouterr().out
    assert "ValueError: too dark" in told
    assert DEATH_ATTRIBUTE not in told


async def _bury(broker: MemoryBroker) -> None:
    await broker.declare([Queue("labels")])
    await broker.put([Put("labels", Message("x"))])
    leases = await broker.take("labels", 1)
    await broker.settle(Commit("labels", [Outcome(lease, "dead", death=DEATH) for lease in leases]))
