"""What every Results must do. `check_results` runs all of it; CHECKS lets a test runner name each part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from millrace.store import Results
from millrace.testing.bench import refused_or
from millrace.types import Failure, Record

FreshResults = Callable[[], AbstractAsyncContextManager[Results]]

_DONE = Record("a", "q", "done", msgspec.Raw(b'{"label":"cat"}'), None, 1, "classify", "v1", 1.0, 2.0, 3.0)
_DEAD = Record(
    "b", "q", "dead", None, Failure("ValueError", "no", "Traceback", mro=("ValueError",)), 5, finished_at=3.0
)


async def check_results(fresh: FreshResults) -> None:
    """Hold a store of records to the port's contract; `fresh` opens an empty one each time.

    Raises AssertionError that says what was expected.
    """
    for check in CHECKS:
        async with fresh() as results:
            await check(results)


async def _turns() -> None:
    """Let everybody who can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def _same(found: Record | None, expected: Record) -> bool:
    return found is not None and msgspec.json.encode(found) == msgspec.json.encode(expected)


async def unknown_is_none(results: Results) -> None:
    """Nobody knows of an id that no message had."""
    assert await results.get("x") is None, "expected None for an unknown id"
    assert await results.wait("x", 0.0) is None, "expected None for an unknown id without waiting"
    await results.put([])


async def an_id_without_utf8_is_unknown(results: Results) -> None:
    """No message has half of a surrogate pair in its id: that is the answer, or Unencodable."""
    assert await refused_or(results.get("a\ud800")) is None, "expected no record"
    assert await refused_or(results.wait("a\ud800" * 100, 0.0)) is None, "expected no record"


async def put_is_read_back(results: Results) -> None:
    """Every field of a record comes back, value and failure included; the last put wins."""
    await results.put([_DONE, _DEAD])
    for record in (_DONE, _DEAD):
        found = await results.get(record.id)
        assert _same(found, record), f"expected {record}, got {found}"
    nothing = msgspec.structs.replace(_DONE, value=msgspec.Raw(b"null"))
    await results.put([nothing])
    assert _same(await results.get("a"), nothing), "expected a result of null to be one"


async def wait_finds_what_is_there(results: Results) -> None:
    """A record that was there before is found at once."""
    await results.put([_DONE, _DEAD])
    for record in (_DONE, _DEAD):
        assert _same(await asyncio.wait_for(results.wait(record.id, 600.0), 30), record), "expected the record at once"


async def wait_is_woken(results: Results) -> None:
    """All who wait for an id get its record, and only its."""
    waiting = [asyncio.ensure_future(results.wait(id, 600.0)) for id in ("a", "b", "a")]
    await _turns()
    await results.put([_DONE])
    for task in (waiting[0], waiting[2]):
        assert _same(await asyncio.wait_for(task, 30), _DONE), "expected the record that was waited for"
    assert not waiting[1].done(), "expected that who waits for another id waits on"
    await results.put([_DEAD])
    assert _same(await asyncio.wait_for(waiting[1], 30), _DEAD), "expected the other record"


async def many_wait_at_once(results: Results) -> None:
    """A thousand waiters are all answered, and those who gave up harm nobody."""
    ids = [f"m{number}" for number in range(1000)]
    waiting = [asyncio.ensure_future(results.wait(id, 600.0)) for id in ids]
    await _turns()
    for task in waiting[::2]:
        task.cancel()
    await results.put([Record(id, "q", "done", msgspec.Raw(b"1")) for id in ids])
    found = await asyncio.wait_for(asyncio.gather(*waiting[1::2]), 30)
    assert [record and record.id for record in found] == ids[1::2], "expected every waiter's own record"


CHECKS = (
    unknown_is_none,
    an_id_without_utf8_is_unknown,
    put_is_read_back,
    wait_finds_what_is_there,
    wait_is_woken,
    many_wait_at_once,
)
