"""Frames over a socket that takes only so much at once, and lines out of a pipe."""

from __future__ import annotations

import asyncio
import os
import socket
from io import FileIO

import pytest

from millrace.flow.channel import Channel, Pipe
from millrace.types import Message
from millrace.wire import Began, Frame, Frames, Run, Stop, encode


def run(size: int, count: int = 1) -> Run:
    return Run(1, "r", "q", [Message("a", b"x" * size)] * count, [1] * count, [""] * count)


@pytest.mark.parametrize("count", [1, 3])
async def test_frames_wait_until_the_socket_takes_them(count: int) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours, lambda: None)
    sent: list[Frame] = [run(3_000_000, count), run(10, count), Stop()]
    for frame in sent:
        channel.send(frame)
    received: list[Frame] = []
    assert channel._try(b"x") == 0
    frames = Frames()
    theirs.setblocking(False)
    while len(received) < len(sent):
        received += frames.feed(await asyncio.get_running_loop().sock_recv(theirs, 1 << 16))
    assert received == sent
    channel.close()
    channel.close()
    theirs.close()


async def test_what_is_posted_in_one_turn_leaves_together() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = Channel(ours, lambda: None)
    channel.post(Began(1))
    channel.post(Began(2))
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    await asyncio.sleep(0)
    assert list(Frames().feed(theirs.recv(1 << 16))) == [Began(1), Began(2)]
    channel.post(run(3_000_000))
    channel.send(Stop())
    frames, received = Frames(), list[Frame]()
    while len(received) < 2:
        received += frames.feed(await asyncio.get_running_loop().sock_recv(theirs, 1 << 16))
    assert received == [run(3_000_000), Stop()]
    channel.post(Began(3))
    channel.close()
    await asyncio.sleep(0)
    assert theirs.recv(1) == b""
    theirs.close()


async def test_what_arrives() -> None:
    ours, theirs = socket.socketpair()
    readable = asyncio.Event()
    channel = Channel(ours, readable.set)
    assert channel.receive() is None
    data = encode(Began(7))
    theirs.send(data[:3])
    await readable.wait()
    assert list(channel.receive() or ()) == []
    theirs.send(data[3:])
    assert list(channel.receive() or ()) == [Began(7)]
    theirs.close()
    with pytest.raises(EOFError):
        channel.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        channel.send(Stop())
    channel.close()
    with pytest.raises(EOFError):
        channel.receive()


async def test_a_death_while_frames_wait_is_not_an_error() -> None:
    ours, theirs = socket.socketpair()
    hung_up = asyncio.Event()
    channel = Channel(ours, hung_up.set)
    channel.send(run(3_000_000))
    theirs.close()
    await hung_up.wait()
    channel._flush()
    channel.close()


async def test_lines_of_a_pipe() -> None:
    reading, writing = os.pipe()
    lines: list[str] = []
    pipe = Pipe(FileIO(reading), lines.append)
    assert not pipe.read()
    os.write(writing, b"one\r\ntwo\xff\nthr")
    assert pipe.read()
    assert lines == ["one", "two\ufffd"]
    os.write(writing, b"ee\n" + b"a" * 40_000)
    pipe.read()
    assert [len(line) for line in lines[2:]] == [5, 32_768, 7_232]
    os.write(writing, b"cut off")
    pipe.close()
    pipe.close()
    assert lines[-1] == "cut off"
    assert not pipe.read()
    os.close(writing)


async def test_a_pipe_that_ends_by_itself() -> None:
    reading, writing = os.pipe()
    ended = asyncio.Event()
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        ended.set()

    pipe = Pipe(FileIO(reading), take)
    os.write(writing, b"last")
    os.close(writing)
    await ended.wait()
    pipe.close()
    assert lines == ["last"]
