"""Bodies in a bucket: who owns which object, and what a crash, a refusal or a loss leaves behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millrace.app import open_backend
from millrace.broker import Queue, dead_letters, handle_of, lease_of
from millrace.brokers.claims import CLAIM, ClaimCheck
from millrace.brokers.claims.claim import MAX_ID_BYTES, id_of, object_key
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.sqlite import SqliteBroker
from millrace.config.load import load
from millrace.database import Database
from millrace.errors import BrokerError, QueueFull, StorageError, StorageFull, TooLarge, UnknownQueue
from millrace.store import Bucket, ObjectInfo
from millrace.stores.memory import MemoryResults
from millrace.stores.objects import check_key
from millrace.testing import FaultyBroker, ManualClock
from millrace.testing.bench import ids, outcome, raised
from millrace.types import Commit, Lease, Message, Outcome, Put

LARGE = b"x" * 100
DAY_S = 86_400.0


class Shelf(Bucket):
    """A bucket in a dict, which fails on demand and writes down what it was asked."""

    def __init__(self, clock: ManualClock) -> None:
        self.name = "shelf"
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.writes = 0
        self.refuse_write = -1  # the number of the write that fails
        self.broken: dict[str, StorageError] = {}  # verb -> what it raises
        self._clock = clock

    async def put(self, key: str, body: bytes) -> None:
        self.writes += 1
        if self.writes == self.refuse_write:
            raise StorageFull("no space")
        self.objects[check_key(key)] = (body, self._clock.now())

    async def get(self, key: str) -> bytes | None:
        self._check("get")
        return self.objects.get(key, (None, 0.0))[0]

    async def delete(self, key: str) -> None:
        self._check("delete")
        self.objects.pop(key, None)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        self._check("list")
        for key, (body, at) in sorted(self.objects.items()):
            yield ObjectInfo(key, len(body), "", at)

    def _check(self, verb: str) -> None:
        if verb in self.broken:
            raise self.broken[verb]

    @property
    def bodies(self) -> list[bytes]:
        return sorted(body for body, _ in self.objects.values())


class Scene:
    """A claim check over a memory broker whose verbs and bucket can be made to fail."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.shelf = Shelf(self.clock)
        self.results = MemoryResults(self.clock)
        self.inner = FaultyBroker(MemoryBroker(self.clock, [self.results]))
        self.broker = self.anew()

    def anew(self) -> ClaimCheck:
        """The process died: another one over the same broker and bucket."""
        return ClaimCheck(self.inner, self.shelf, beyond_bytes=10, max_body=1000, clock=self.clock)

    async def put(self, *ids: str, body: bytes = LARGE, queue: str = "work", group: str = "") -> list[bool]:
        puts = [Put(queue, Message(id, body, group=group)) for id in ids]
        return [answer.duplicate for answer in await self.broker.put(puts)]

    async def take(self, limit: int = 10, queue: str = "work", max_bytes: int | None = None) -> list[Lease]:
        return await self.broker.take(queue, limit, max_bytes=max_bytes)

    async def settle(self, leases: list[Lease], verdict: str = "done", **how: object) -> list[str]:
        return ids(await self.broker.settle(Commit("work", [outcome(lease, verdict, **how) for lease in leases])))

    async def swept(self) -> int:
        """What two sweeps delete."""
        return await self.broker.sweep() + await self.broker.sweep()


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.broker.declare([Queue("work", max_depth=5), Queue("other"), Queue("line", fifo=True)])
    return made


# ---- the way of a body


async def test_a_reference_travels_unseen(scene: Scene) -> None:
    sent = Message("a", LARGE, {"content-type": "image/png"}, 5.0)
    await scene.broker.put([Put("work", sent)])
    (inside,) = await scene.inner.peek("work")
    assert inside.message.body == b""
    assert inside.message.attributes[CLAIM].startswith("100 ")
    (lease,) = await scene.take()
    assert lease.message == sent
    assert [each.message for each in await scene.broker.peek("work")] == [sent]
    assert await scene.settle([lease]) == []
    assert scene.shelf.bodies == []


@pytest.mark.parametrize("verdict", ["done", "retry"])
async def test_a_handle_finds_the_body_of_its_message(scene: Scene, verdict: str) -> None:
    await scene.put("a")
    (lease,) = await scene.take()
    bare = lease_of("work", handle_of(lease.receipt))
    assert len(await scene.broker.extend([bare], 50.0)) == 1
    assert await scene.broker.settle(Commit("work", [Outcome(bare, verdict)])) == []
    assert scene.shelf.bodies == ([] if verdict == "done" else [LARGE])
    assert [each.message.body for each in await scene.take()] == scene.shelf.bodies


async def test_a_dropped_queue_leaves_no_bodies(scene: Scene) -> None:
    await scene.put("dead", "held", "waits")
    await scene.put("a", queue="other")
    await scene.settle(await scene.take(1), "dead")
    await scene.take(1)
    await scene.broker.drop(["work"])
    assert scene.shelf.bodies == [LARGE], "the other queue's body is there"
    assert [lease.message.body for lease in await scene.take(queue="other")] == [LARGE]


async def test_a_small_body_costs_the_bucket_nothing(scene: Scene) -> None:
    await scene.put("a", body=b"x" * 10)
    (lease,) = await scene.take()
    await scene.settle([lease])
    assert scene.shelf.writes == 0


async def test_a_body_beyond_the_limit_is_refused_before_anything_is_written(scene: Scene) -> None:
    puts = [Put("work", Message("a", LARGE)), Put("work", Message("b", bytes(1001)))]
    error = await raised(TooLarge, scene.broker.put(puts))
    assert "message b: 1001 bytes, at most 1000" in str(error)
    assert scene.shelf.writes == 0


async def test_an_id_too_long_for_a_file_name_keeps_its_body(scene: Scene) -> None:
    await scene.put("é" * (MAX_ID_BYTES // 2), "é" * (MAX_ID_BYTES // 2) + "x")
    assert scene.shelf.writes == 1
    assert [lease.message.body for lease in await scene.take()] == [LARGE, LARGE]
    (key,) = scene.shelf.objects
    assert len(key) <= 250


def test_an_objects_name_holds_its_id() -> None:
    for id in ("../../etc/passwd", "ключ", "a/b", "", "."):
        assert id_of(check_key(object_key(id, "mark"))) == id
    assert [id_of(key) for key in ("foreign", "_w==.mark", "é.jpg")] == [None] * 3, "no mark, no UTF-8, no base64"


async def test_nobody_can_name_anothers_body(scene: Scene) -> None:
    await scene.put("secret")
    (key,) = scene.shelf.objects
    await scene.broker.put([Put("other", Message("thief", b"", {CLAIM: f"100 {key}", "mine": "1"}))])
    (lease,) = await scene.take(queue="other")
    assert (lease.message.body, lease.message.attributes) == (b"", {"mine": "1"})
    forged = Put("other", Message("b", b"", {CLAIM: f"100 {key}"}))
    await scene.broker.settle(Commit("other", [outcome(lease, puts=(forged,))]))
    (lease,) = await scene.take(queue="other")
    assert (lease.message.body, lease.message.attributes) == (b"", {})
    assert scene.shelf.bodies == [LARGE]


# ---- who owns which object


async def test_a_duplicates_object_goes_and_the_firsts_stays(scene: Scene) -> None:
    assert await scene.put("a", "a") == [False, True]
    assert await scene.put("a", body=b"y" * 50) == [True]
    assert await scene.put("a") == [True]
    assert scene.shelf.bodies == [LARGE]
    assert [lease.message.body for lease in await scene.take()] == [LARGE]


async def test_equal_messages_in_two_queues_have_an_object_each(scene: Scene) -> None:
    await scene.put("a")
    await scene.broker.move("work", "other")
    assert await scene.put("a") == [False]
    await scene.settle(await scene.take())
    assert [lease.message.body for lease in await scene.take(queue="other")] == [LARGE]


async def test_a_dead_letter_keeps_its_body_and_is_redriven_whole(scene: Scene) -> None:
    await scene.put("a")
    await scene.settle(await scene.take(), "dead")
    (letter,) = await scene.broker.peek(dead_letters("work"))
    assert letter.message.body == LARGE
    scene.clock.advance(10 * DAY_S)
    assert await scene.swept() == 0
    assert await scene.broker.move(dead_letters("work"), "work") == 1
    (lease,) = await scene.take()
    assert lease.message.body == LARGE
    await scene.settle([lease])
    assert scene.shelf.bodies == []


async def test_an_object_goes_only_once_its_message_cannot_come_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, durable = scene.inner.settle, list[bool]()

    async def seen(commit: Commit) -> list[Lease]:
        durable.append(commit.durable)
        return await settle(commit)

    monkeypatch.setattr(scene.inner, "settle", seen)
    await scene.put("large")
    await scene.put("small", body=b"x")
    for lease in await scene.take():
        await scene.broker.settle(Commit("work", [outcome(lease)], durable=False))
    assert durable == [True, False]


async def test_retry_and_release_keep_the_body(scene: Scene) -> None:
    await scene.put("a")
    await scene.settle(await scene.take(), "retry")
    await scene.settle(await scene.take(), "release")
    (lease,) = await scene.take()
    assert (lease.attempt, lease.message.body) == (2, LARGE)


async def test_a_lost_lease_deletes_nothing(scene: Scene) -> None:
    await scene.put("a")
    old = await scene.take()
    scene.clock.advance(31)
    new = await scene.take()
    assert await scene.settle(old) == ["a"]
    assert await scene.broker.extend([*old, *new], 60.0) != []
    assert scene.shelf.bodies == [LARGE]
    assert await scene.settle(new) == []
    assert scene.shelf.bodies == []


async def test_extended_leases_keep_their_messages(scene: Scene) -> None:
    await scene.put("large")
    await scene.put("small", body=b"s")
    leases = await scene.take()
    scene.clock.advance(10)
    extended = await scene.broker.extend(leases, 60.0)
    assert [lease.message for lease in extended] == [lease.message for lease in leases]
    assert all(lease.expires_at == scene.clock.monotonic() + 60 for lease in extended)
    assert await scene.settle(extended) == []


async def test_purge_deletes_the_bodies_of_what_it_purged(scene: Scene) -> None:
    await scene.put("held", "a", "b")
    await scene.put("held", queue="other")
    (held,) = await scene.take(1)
    assert await scene.broker.purge("work", ["a", "nobody"]) == 1
    assert len(scene.shelf.bodies) == 3
    assert await scene.broker.purge("work") == 1
    assert len(scene.shelf.bodies) == 2, "what is in flight and what is in another queue keep theirs"
    assert (await scene.settle([held]), len(scene.shelf.bodies)) == ([], 1)
    assert [lease.message.body for lease in await scene.take(queue="other")] == [LARGE]


async def test_purge_goes_on_when_the_bucket_does_not_answer(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await scene.put("a")
    scene.shelf.broken["list"] = StorageError("no answer")
    assert await scene.broker.purge("work") == 1
    assert "not deleted now: no answer" in caplog.text
    scene.shelf.broken.clear()
    scene.clock.advance(2 * DAY_S)
    assert await scene.swept() == 1


# ---- outputs


async def test_outputs_are_claimed_before_the_commit(scene: Scene) -> None:
    await scene.put("a", body=b"small")
    (lease,) = await scene.take()
    puts = (Put("other", Message("a.0", LARGE)), Put("other", Message("a.1", b"small")))
    await scene.broker.settle(Commit("work", [outcome(lease, puts=puts)]))
    assert scene.shelf.bodies == [LARGE]
    assert [each.message.body for each in await scene.inner.peek("other")] == [b"", b"small"]
    assert [each.message.body for each in await scene.take(queue="other")] == [LARGE, b"small"]


async def test_a_commit_that_is_tried_again_writes_the_same_object(scene: Scene) -> None:
    await scene.put("a")
    (lease,) = await scene.take()
    commit = Commit("work", [outcome(lease, puts=(Put("other", Message("a.0", b"o" * 50)),))])
    scene.inner.fail("settle", times=2)
    for _ in range(2):
        await raised(StorageError, scene.broker.settle(commit))
    assert scene.shelf.bodies == [b"o" * 50, LARGE]
    assert await scene.broker.settle(commit) == []
    assert scene.shelf.bodies == [b"o" * 50]


async def test_a_commit_whose_answer_was_lost_keeps_its_outputs(scene: Scene) -> None:
    await scene.put("a")
    (lease,) = await scene.take()
    commit = Commit("work", [outcome(lease, puts=(Put("other", Message("a.0", b"o" * 50)),))])
    scene.inner.fail("settle", "after")
    await raised(StorageError, scene.broker.settle(commit))
    assert ids(await scene.broker.settle(commit)) == ["a"]
    assert [each.message.body for each in await scene.take(queue="other")] == [b"o" * 50]
    scene.clock.advance(2 * DAY_S)
    assert (await scene.swept(), scene.shelf.bodies) == (1, [b"o" * 50])


async def test_outputs_that_were_put_before_are_not_written_again(scene: Scene) -> None:
    scene.inner.capabilities = type(scene.inner.capabilities)(
        **dict.fromkeys(("durable", "transactional", "fifo", "delay", "ttl", "dedupe", "shared"), False)
    )
    broker = scene.anew()
    await scene.put("a", body=b"small")
    (lease,) = await scene.take()
    output = Put("other", Message("a.0", LARGE))
    await broker.put([output])
    await broker.settle(Commit("work", [outcome(lease, puts=(output,))]))
    assert scene.shelf.writes == 1


# ---- refusals and crashes


async def test_a_put_that_is_refused_again_and_again_writes_once(scene: Scene) -> None:
    await scene.put(*"12345", body=b"small")
    for _ in range(20):
        await raised(QueueFull, scene.put("a"))
    assert scene.shelf.writes == 1
    await scene.settle(await scene.take())
    assert await scene.put("a") == [False]
    assert [lease.message.body for lease in await scene.take()] == [LARGE]
    assert scene.shelf.writes == 1


async def test_another_body_of_a_refused_id_is_another_object(scene: Scene) -> None:
    await raised(UnknownQueue, scene.put("a", queue="nowhere"))
    await raised(UnknownQueue, scene.put("a", body=b"y" * 50, queue="nowhere"))
    assert scene.shelf.bodies == [b"y" * 50]


async def test_what_is_kept_for_repeats_is_bounded_and_ends_with_the_process(scene: Scene) -> None:
    for number in range(40):
        await raised(UnknownQueue, scene.put(f"m{number}", queue="nowhere"))
    await raised(UnknownQueue, scene.put("m39", "m39", queue="nowhere"))
    assert len(scene.shelf.bodies) == 16
    await scene.broker.close()
    assert scene.shelf.bodies == []


async def test_one_body_that_cannot_be_written_keeps_the_whole_put_out(scene: Scene) -> None:
    scene.shelf.refuse_write = 3
    await raised(StorageFull, scene.put("a", "b", "c", "d"))
    assert await scene.inner.peek("work") == []
    assert scene.shelf.bodies == []


async def test_a_put_whose_answer_was_lost_keeps_its_body(scene: Scene) -> None:
    """The message may be there, so no refusal, duplicate or end of the process deletes the object."""
    scene.inner.fail("put", "after")
    await raised(StorageError, scene.put("a"))
    assert await scene.put("a") == [True]
    assert scene.shelf.writes == 1
    await scene.broker.close()
    assert [lease.message.body for lease in await scene.take()] == [LARGE]


async def test_a_crash_between_object_and_put_leaves_an_orphan_until_the_sweep(scene: Scene) -> None:
    reached, _ = scene.inner.hold("put", "before")
    dying = asyncio.ensure_future(scene.put("a"))
    await reached.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    scene.broker = scene.anew()
    assert (scene.shelf.bodies, await scene.inner.peek("work")) == ([LARGE], [])
    assert await scene.put("a") == [False], "nothing was accepted, so the repeat is the first"
    scene.clock.advance(DAY_S - 1)
    assert await scene.swept() == 0, "a put may take its time"
    scene.clock.advance(2)
    assert await scene.swept() == 1
    assert [lease.message.body for lease in await scene.take()] == [LARGE]


async def test_a_crash_between_settle_and_delete_leaves_an_orphan_until_the_sweep(scene: Scene) -> None:
    await scene.put("a")
    leases = await scene.take()
    reached, _ = scene.inner.hold("settle", "after")
    dying = asyncio.ensure_future(scene.settle(leases))
    await reached.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    scene.broker = scene.anew()
    assert (scene.shelf.bodies, await scene.take()) == ([LARGE], [])
    scene.clock.advance(2 * DAY_S)
    assert (await scene.swept(), scene.shelf.bodies) == (1, [])


async def test_a_body_that_cannot_be_deleted_does_not_undo_the_commit(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.put("a")
    scene.shelf.broken["delete"] = StorageError("no answer")
    assert await scene.settle(await scene.take()) == []
    assert "could not be deleted: no answer" in caplog.text


async def test_the_sweep_looks_twice(scene: Scene) -> None:
    """A message that is being moved while one sweep looks is found by the next."""
    await scene.put("a", queue="other")
    scene.clock.advance(2 * DAY_S)
    reached, go_on = scene.inner.hold("peek", "before")
    sweeping = asyncio.ensure_future(scene.broker.sweep())
    await reached.wait()
    (message,) = (each.message for each in await scene.inner.inner.peek("other"))
    await scene.inner.inner.purge("other")
    go_on.set()
    assert await sweeping == 0
    await scene.inner.put([Put("work", message)])
    assert await scene.broker.sweep() == 0
    assert [lease.message.body for lease in await scene.take()] == [LARGE]


async def test_the_sweep_leaves_alone_what_is_not_ours(scene: Scene) -> None:
    scene.shelf.objects["foreign"] = (b"1", 0.0)
    assert (await scene.swept(), scene.shelf.bodies) == (0, [b"1"])


# ---- bodies that cannot be read


async def test_a_missing_body_makes_a_dead_letter_and_holds_up_nobody(scene: Scene) -> None:
    await scene.put("a")
    scene.shelf.objects.clear()
    await scene.put("b")
    assert ids(await scene.take()) == ["b"]
    (letter,) = await scene.broker.peek(dead_letters("work"))
    assert letter.death is not None
    assert (letter.death.reason, letter.death.failure.type) == ("dead", "BodyMissing")
    assert "is gone from its bucket" in letter.death.failure.message
    assert CLAIM in letter.message.attributes
    record = await scene.results.get("a")
    assert record is not None
    assert (record.state, record.attempts) == ("dead", 1)


async def test_only_missing_bodies_are_looked_behind(scene: Scene) -> None:
    await scene.put("a", "b", "c")
    scene.shelf.objects.clear()
    await scene.put("d")
    assert ids(await scene.take(1)) == ["d"]


async def test_an_unreadable_body_is_tried_again_later(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await scene.put("a")
    await scene.put("b", body=b"small")
    scene.shelf.broken["get"] = StorageError("no answer")
    behind = await scene.take(1)
    assert ids(behind) == ["b"], "nobody waits behind it"
    await scene.settle(behind)
    assert "message a waits, its body cannot be read: no answer" in caplog.text
    scene.clock.advance(11)
    assert await scene.take() == []
    scene.shelf.broken.clear()
    scene.clock.advance(21)
    (lease,) = await scene.take()
    assert (lease.message.body, lease.attempt) == (LARGE, 3)


async def test_peek_shows_the_reference_of_a_body_that_cannot_be_read(scene: Scene) -> None:
    await scene.put("a")
    scene.shelf.broken["get"] = StorageError("no answer")
    (seen,) = await scene.broker.peek("work")
    assert CLAIM in seen.message.attributes


async def test_nothing_overtakes_an_unreadable_head(scene: Scene) -> None:
    await scene.put("1", "2", queue="line")
    await scene.put("3", "4", queue="line", group="g")
    key = next(key for key in scene.shelf.objects if id_of(key) == "1")
    get = scene.shelf.get

    async def broken(asked: str) -> bytes | None:
        if asked == key:
            raise StorageError("no answer")
        return await get(asked)

    scene.shelf.get = broken
    assert ids(await scene.take(queue="line")) == ["3", "4"]
    scene.shelf.get = get
    scene.clock.advance(11)
    leases = await scene.take(queue="line")
    assert [(lease.message.id, lease.attempt) for lease in leases] == [("1", 2), ("2", 1)]


async def test_max_bytes_counts_real_sizes(scene: Scene) -> None:
    await scene.put("a", "b", "c")
    await scene.put("d", body=b"small")
    leases = await scene.take(max_bytes=250)
    assert ids(leases) == ["a", "b"]
    again = await scene.take(max_bytes=1)
    assert [(lease.message.id, lease.attempt) for lease in again] == [("c", 1)], "given back uncounted"


# ---- a take that fails in the middle


async def test_what_a_take_could_not_give_back_is_given_back_by_the_next(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.put("a", "b")
    scene.inner.fail("settle", "before", BrokerError("no answer"))
    assert ids(await scene.take(max_bytes=100)) == ["a"], "what could be read is the taker's"
    assert "1 messages of work could not be settled, the next take tries again: no answer" in caplog.text
    (lease,) = await scene.take()
    assert (lease.message.id, lease.attempt) == ("b", 1), "given back uncounted"


async def test_a_take_that_read_nothing_and_settled_nothing_raises(scene: Scene) -> None:
    await scene.put("a")
    scene.shelf.objects.clear()
    scene.inner.fail("settle", "after", StorageError("no answer"))
    with pytest.raises(StorageError, match="no answer"):
        await scene.take()
    assert await scene.take() == [], "it was settled, and only the answer was lost"
    (letter,) = await scene.broker.peek(dead_letters("work"))
    assert letter.message.id == "a"


@pytest.mark.parametrize("error", [RuntimeError("broken"), asyncio.CancelledError()])
@pytest.mark.parametrize("where", ["reading", "settling"])
async def test_a_take_that_ends_in_the_middle_leaves_nothing_leased_to_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: BaseException, where: str
) -> None:
    await scene.put("a", "b")
    if where == "settling":
        scene.inner.fail("settle", "before", error)
        scene.shelf.broken["get"] = StorageError("no answer")
    else:
        monkeypatch.setitem(scene.shelf.broken, "get", error)
    with pytest.raises(type(error)):
        await scene.take()
    scene.shelf.broken.clear()
    again = await scene.take()
    if where == "settling":
        assert again == [], "their pause has begun"
        scene.clock.advance(11)
        again = await scene.take()
    assert [(lease.message.id, lease.attempt) for lease in again] == [
        (id, 1 if where == "reading" else 2) for id in ("a", "b")
    ]


async def test_a_lease_that_ran_out_is_owed_no_more(scene: Scene) -> None:
    await scene.put("a", "b")
    scene.inner.fail("settle", "before", BrokerError("no answer"))
    await scene.take(max_bytes=100)
    scene.clock.advance(31)
    assert len(await scene.take()) == 2
    assert scene.inner.calls["settle"] == 1


async def test_the_embedded_queue_stays_small(tmp_path: Path) -> None:
    clock = ManualClock()
    database = Database.open(tmp_path / "test.db", clock=clock)
    shelf = Shelf(clock)
    broker = ClaimCheck(SqliteBroker(database), shelf, beyond_bytes=4096, clock=clock)
    await broker.declare([Queue("work")])
    await broker.put([Put("work", Message(f"m{n}", bytes(100_000))) for n in range(3)])
    (count,) = await database.read(lambda connection: connection.execute("SELECT count(*) FROM bodies").fetchone())
    assert (count, len(shelf.objects)) == (0, 3)
    leases = await broker.take("work", 10)
    await broker.settle(Commit("work", [outcome(leases[0]), outcome(leases[1], "dead")]))
    assert len(shelf.objects) == 2
    assert await broker.queues() == ["work", "work.dead"]
    await broker.close()
    await database.close()


async def test_a_project_keeps_large_bodies_in_files(tmp_path: Path) -> None:
    (tmp_path / "millrace.yml").write_text("service: large\nqueues: {work: {}}\n")
    backend = await open_backend(load(tmp_path))
    body = bytes(16_000_001)
    await backend.broker.put([Put("work", Message("a", body)), Put("work", Message("b", body[1:]))])
    files = list((tmp_path / ".millrace" / "bodies").iterdir())
    assert [file.stat().st_size for file in files] == [len(body)]
    (lease,) = await backend.broker.take("work", 1)
    assert lease.message.body == body
    await backend.broker.settle(Commit("work", [outcome(lease)]))
    assert not files[0].exists()
    files[0].write_bytes(b"left by a crash")
    os.utime(files[0], (0, 0))
    assert [await backend.sweep(), await backend.sweep()] == [0, 1]
    await backend.close()
