"""An answer's head and body leave in one write, in order, and nothing is lost at the close."""

from __future__ import annotations

import asyncio
from typing import cast

from millrace.sources.http.joined import JoinedTransport


class Recorder:
    """What a transport was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


def joined() -> tuple[Recorder, JoinedTransport]:
    recorder = Recorder()
    return recorder, JoinedTransport(cast(asyncio.Transport, recorder), asyncio.get_running_loop())


async def test_writes_of_one_turn_leave_together() -> None:
    recorder, transport = joined()
    transport.write(b"head ")
    transport.write(b"body")
    assert recorder.told == []
    await asyncio.sleep(0)
    assert recorder.told == [b"head body"]
    transport.write(b"more")
    await asyncio.sleep(0)
    assert recorder.told == [b"head body", b"more"]


async def test_what_is_whole_leaves_at_once() -> None:
    recorder, transport = joined()
    transport.write(b"head ")
    transport.write(b"body")
    transport.flush()
    assert recorder.told == [b"head body"]
    await asyncio.sleep(0)
    assert recorder.told == [b"head body"]


async def test_a_close_sends_what_is_held_first() -> None:
    recorder, transport = joined()
    transport.write(b"last")
    transport.close()
    assert recorder.told == [b"last", "close"]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert recorder.told == [b"last", "close"]
