"""How far a pipeline runs ahead: places are given back once, and what has none is bounded."""

from __future__ import annotations

import asyncio

from millrace.flow.places import MOST_BYTES, Place, Places


async def taken(places: Places) -> Place:
    """A place that must be there now."""
    taking = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    assert taking.done(), "expected a free place"
    return await taking


async def is_full(places: Places) -> bool:
    taking = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    if taking.done():
        (await taking).ended()
        return False
    taking.cancel()
    return True


async def test_a_batch_keeps_its_place_until_it_ends() -> None:
    places = Places(1)
    place = await taken(places)
    assert await is_full(places)
    place.ended()
    assert not await is_full(places)


async def test_a_batch_that_has_run_makes_room_once() -> None:
    places = Places(1)
    first = await taken(places)
    first.ran(3)
    first.ran(3)
    second = await taken(places)
    assert await is_full(places)
    first.ended()
    assert await is_full(places), "expected a place to be given back once"
    second.ended()
    assert not await is_full(places)


async def test_what_has_no_place_is_bounded_in_messages() -> None:
    places = Places(1, ahead=10)
    first = await taken(places)
    first.ran(6)
    second = await taken(places)
    second.ran(6)
    assert await is_full(places), "expected the second to keep its place"
    first.ended()
    second.ran(6)
    assert not await is_full(places)
    second.ended()
    assert not await is_full(places)


async def test_a_batch_that_is_large_keeps_its_place() -> None:
    places = Places(1)
    place = await taken(places)
    place.ran(1, MOST_BYTES + 1)
    assert await is_full(places)
    place.ran(1, MOST_BYTES)
    assert not await is_full(places)


async def test_nothing_goes_ahead_where_that_is_not_wanted() -> None:
    places = Places(1, ahead=0)
    (await taken(places)).ran(1)
    assert await is_full(places)


async def test_who_waits_for_a_place_is_let_go_when_nobody_needs_any() -> None:
    places = Places(1)
    await taken(places)
    waiting = asyncio.create_task(places.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    places.close()
    await waiting
    await taken(places)
