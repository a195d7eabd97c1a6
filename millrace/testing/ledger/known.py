"""What is known of puts: notes, keys, windows, and what is doubted, moved and forgotten."""

from __future__ import annotations

from millrace.store import Noted
from millrace.testing.bench import outcome, refused_or
from millrace.testing.ledger.bench import WINDOW_UNITS, LedgerBench, delivery, put, run


async def a_note_is_no_knowledge(bench: LedgerBench) -> None:
    """Only a confirmed put is known, in its queue alone; a known one has the place that was confirmed."""
    assert await bench.note(put("a"), put("b")) == [Noted("a"), Noted("b")], "expected both to be unknown"
    assert await bench.note(put("a")) == [Noted("a")], "expected a note to be nobody's knowledge"
    await bench.ledger.confirm([put("a")], [7])
    assert await bench.note(put("a"), put("b")) == [Noted("a", True, 7), Noted("b")], "expected a to be known"
    await bench.ledger.confirm([put("a")], [0])
    assert await bench.note(put("a")) == [Noted("a", True, 7)], "expected its place to stay"
    assert not await bench.knows("a", "other"), "expected another queue not to know it"
    assert await bench.note() == [], "expected nothing of nothing"
    await bench.ledger.confirm([], [])
    await bench.ledger.withdraw([])


async def what_is_fresh_is_known_without_a_note(bench: LedgerBench) -> None:
    """Each in its queue, with its place and its window; what has ended meanwhile stays so."""
    await bench.write(run(delivery("done")))
    window_s = 6 * bench.unit_s
    puts = [put("a"), put("b", queue="other"), put("done")]
    await bench.ledger.know(puts, [0, 7, 0], [window_s] * len(puts))
    assert await bench.note(put("a"), put("a", queue="other")) == [Noted("a", True), Noted("a")], (
        "expected a in q alone"
    )
    assert await bench.note(put("b", queue="other")) == [Noted("b", True, 7)], "expected its place"
    assert list(await bench.ledger.unsent("q", ["a", "done"])) == ["done"], "expected what has ended to stay so"
    await bench.advance(7 * bench.unit_s)
    assert not await bench.knows("a"), "expected it to be forgotten after its window"
    await bench.ledger.know([], [], [])


async def what_was_withdrawn_is_unknown(bench: LedgerBench) -> None:
    """Withdrawn are notes and keys that nobody confirmed, and nothing else."""
    await bench.queued(put("known", "k"))
    await bench.note(put("a", "l"))
    await bench.ledger.withdraw([put("a", "l"), put("known", "k")])
    assert await bench.knows("known"), "expected what was confirmed to stay"
    free = await bench.note(put("b", "l"), put("c", "k"))
    assert free == [Noted("b"), Noted("known", True, 0, True)], "expected l to be free"


async def a_key_is_bound_to_its_first_id(bench: LedgerBench) -> None:
    """Before it is confirmed others put under the first's id; afterwards they are duplicates of it."""
    assert await bench.note(put("a", "k"), put("b", "k"), put("c", "l")) == [Noted("a"), Noted("a"), Noted("c")]
    assert await bench.note(put("d", "k")) == [Noted("a")], "expected the id that the key is bound to"
    await bench.ledger.confirm([put("a", "k"), put("c", "l")], [3, 4])
    assert await bench.note(put("d", "k"), put("e", "l")) == [Noted("a", True, 3, True), Noted("c", True, 4, True)]
    assert await bench.note(put("d", "k", "other")) == [Noted("d")], "expected another queue's keys to be its own"
    await bench.write(run(delivery("a")))
    assert await bench.note(put("d", "k")) == [Noted("a", True, 3, True)], (
        "expected a settled message's key to be known"
    )


async def a_key_has_a_window(bench: LedgerBench) -> None:
    """It begins with the first put; then the key is free for another id."""
    await bench.queued(put("a", "k"), units=6)
    await bench.advance(3 * bench.unit_s)
    assert await bench.note(put("b", "k"), units=6) == [Noted("a", True, 0, True)], "expected the key to be known"
    await bench.advance(4 * bench.unit_s)
    assert await bench.note(put("b", "k"), units=6) == [Noted("b")], "expected the key to be free"
    await bench.ledger.confirm([put("b", "k")], [2])
    assert await bench.note(put("c", "k"), units=6) == [Noted("b", True, 2, True)], "expected a new window"


async def done_is_known_for_its_window(bench: LedgerBench) -> None:
    """Then the message runs again and is known by its new record; dead ones are known until their letter is purged."""
    await bench.queued(put("a"), put("b"))
    await bench.write(run(delivery("a"), b"1"), outcome(delivery("b"), "dead"), units=6)
    await bench.advance(3 * bench.unit_s)
    assert [await bench.knows(id) for id in ("a", "b")] == [True, True], "expected both to be known"
    await bench.advance(4 * bench.unit_s)
    assert [await bench.knows(id) for id in ("a", "b")] == [False, True], "expected the dead one alone"
    assert await bench.ledger.unsent("q", ["a"]) == {}, "expected a to run again"
    assert await bench.write(run(delivery("a", 2), b"2"), units=6) == [], "expected it to be written"
    assert (await bench.rows())["a"] == b"2", "expected the new row"
    assert await bench.knows("a"), "expected it to be known again"
    await bench.ledger.expire("q", ["b"], 3 * bench.unit_s)
    assert await bench.knows("b"), "expected a purged letter's id to be known for the window"
    await bench.advance(4 * bench.unit_s)
    assert not await bench.knows("b"), "expected it to be forgotten"


async def doubt_makes_a_put_unconfirmed(bench: LedgerBench) -> None:
    """Only what is queued is in doubt, one or all; what has ended stays known."""
    await bench.queued(put("a"), put("b"), put("c"), put("done"), put("other", queue="other"))
    await bench.write(outcome(delivery("done")))
    await bench.ledger.doubt("q", ["a", "done", "nobody"])
    assert [await bench.knows(id) for id in ("a", "b", "done")] == [False, True, True], "expected a alone in doubt"
    await bench.ledger.doubt("q", None)
    assert [await bench.knows(id) for id in ("b", "done")] == [False, True], "expected b in doubt as well"
    assert await bench.knows("other", "other"), "expected other queues to be left alone"


async def moved_messages_are_queued_there(bench: LedgerBench) -> None:
    """In the target, as far as it is sure which; where they were nothing is known of them."""
    await bench.queued(put("a"), put("b"), put("done"), put("dead"))
    await bench.write(outcome(delivery("done")), outcome(delivery("dead"), "dead"))
    window_s = WINDOW_UNITS * bench.unit_s
    await bench.ledger.moved("q", "other", None, ["b"], dedupe_s=window_s, sure=True, dead=False)
    assert [await bench.knows(id, "other") for id in ("a", "b", "done", "dead")] == [True, False, False, False]
    assert [await bench.knows(id) for id in ("a", "b", "done", "dead")] == [False, True, True, True]
    await bench.ledger.moved("q", "other", ["dead", "nobody"], [], dedupe_s=window_s, sure=False, dead=True)
    assert not await bench.knows("dead", "other"), "expected what is not sure to be unconfirmed"
    assert not await bench.knows("nobody", "other"), "expected nothing to be made up"


async def a_redriven_message_is_queued(bench: LedgerBench) -> None:
    """Moved back into its own queue, a dead letter is a queued message, with no result yet."""
    await bench.write(outcome(delivery("a"), "dead"), outcome(delivery("b"), "dead"))
    window_s = WINDOW_UNITS * bench.unit_s
    await bench.ledger.moved("q", "q", ["a"], [], dedupe_s=window_s, sure=True, dead=True)
    assert await bench.knows("a"), "expected it to be known"
    await bench.ledger.doubt("q", None)
    assert [await bench.knows("a"), await bench.knows("b")] == [False, True], "expected it to be queued, not dead"
    record = await bench.results.get("b")
    assert record is not None, "expected the record of what lies there"
    assert record.state == "dead", f"got {record}"


async def what_is_forgotten_is_new(bench: LedgerBench) -> None:
    """Some ids, all that was done, or a queue with all that it knew."""
    await bench.queued(put("a", "k"), put("b"), put("done"), put("again"), put("other", queue="other"))
    await bench.write(run(delivery("done")), run(delivery("again")))
    await bench.ledger.forget("q", ["again", "a"], done=True)
    assert await bench.ledger.unsent("q", ["done", "again"]) == {
        "done": [put("done.0", queue="out"), put("done.1", queue="out")]
    }, "expected again to run again"
    assert await bench.knows("a"), "expected what was not done to be known"
    await bench.ledger.forget("q", ["b"])
    assert [await bench.knows("b"), await bench.knows("a")] == [False, True], "expected b to be forgotten"
    await bench.ledger.forget("q", None)
    assert await bench.note(put("x", "k"), put("done")) == [Noted("x"), Noted("done")], "expected nothing to be known"
    assert await bench.knows("other", "other"), "expected other queues to be left alone"


async def ids_are_any_text(bench: LedgerBench) -> None:
    """No id or key means anything to the storage, however long."""
    names = ["", " ", "'; DROP TABLE x; --", "%s", "\u2400", "\u24000", "ключ", "🐈", "A", "a", "x" * 5000]
    puts = [put(id, f"key {id}") for id in names]
    assert await bench.note(*puts) == [Noted(id) for id in names], "expected every id to be new"
    await bench.ledger.confirm(puts, [1] * len(puts))
    assert await bench.note(*puts) == [Noted(id, True, 1, True) for id in names], "expected every id to be known"
    assert await bench.write(*(outcome(delivery(id), puts=(put(id),)) for id in names)) == [], "expected none late"
    assert await bench.ledger.unsent("q", names) == {id: [put(id)] for id in names}, "expected every id to be done"


async def an_id_without_utf8_is_unknown(bench: LedgerBench) -> None:
    """No message has half of a surrogate pair in its id: nothing is known of it, or Unencodable is raised."""
    await bench.queued(put("a"))
    wrong = ["a\ud800", "a\ud800" * 1000]
    assert not await refused_or(bench.ledger.unsent("q", wrong)), "expected nothing to be done"
    for forgetting in (bench.ledger.doubt("q", wrong), bench.ledger.forget("q", wrong)):
        await refused_or(forgetting)
    assert await bench.knows("a"), "expected what is known to stay so"


CHECKS = (
    a_note_is_no_knowledge,
    what_is_fresh_is_known_without_a_note,
    what_was_withdrawn_is_unknown,
    a_key_is_bound_to_its_first_id,
    a_key_has_a_window,
    done_is_known_for_its_window,
    doubt_makes_a_put_unconfirmed,
    moved_messages_are_queued_there,
    a_redriven_message_is_queued,
    what_is_forgotten_is_new,
    ids_are_any_text,
    an_id_without_utf8_is_unknown,
)
