"""The parent's end of a replica's socket and pipes: frames and lines, never blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from typing import IO

from millrace.wire import Frame, Frames, encode

_ROOM_BYTES = 1 << 18
_PIPE_BYTES = 1 << 16
_MAX_LINE = 32_768
_LAST_READS = 8  # more than a pipe holds


class Channel:
    """Frames both ways over a non-blocking socket; what cannot be written at once waits in memory."""

    def __init__(self, connection: socket.socket, on_readable: Callable[[], object]) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._frames = Frames()
        # Kept: so much room, made for each small answer and cut to its size, is a mapping made and dropped each time.
        self._room = memoryview(bytearray(_ROOM_BYTES))
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, on_readable)

    def send(self, frame: Frame) -> None:
        """Send or keep a frame; raises OSError when the other end is gone."""
        data = encode(frame)
        if self._unsent:
            self._unsent += data
            return
        sent = self._try(data)
        if sent < len(data):
            self._unsent = data if isinstance(data, bytearray) else bytearray(data)  # nobody else has it
            del self._unsent[:sent]
            self._loop.add_writer(self._socket, self._flush)

    def post(self, frame: Frame) -> None:
        """Send a frame that need not be there at once, along with what else is posted in this turn of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += encode(frame)

    def receive(self) -> Iterator[Frame] | None:
        """The frames that have arrived, None when nothing has.

        Raises EOFError after the last, and msgspec.DecodeError while iterating over one that is none of ours.
        """
        try:
            count = self._socket.recv_into(self._room)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:  # reset by a death, or closed by us
            count = 0
        if not count:
            raise EOFError
        return self._frames.feed(self._room[:count])

    def close(self) -> None:
        """Let go of the socket; harmless when repeated."""
        self._unsent.clear()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _try(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def _flush(self) -> None:
        if not self._unsent:
            return  # closed meanwhile
        try:
            del self._unsent[: self._try(self._unsent)]
        except OSError:
            self._unsent.clear()  # its death is noticed by whoever watches the process
        if self._unsent:
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)


class Pipe:
    """Lines that come out of a replica's file descriptor 1 or 2, from C code or from processes of its own."""

    def __init__(self, file: IO[bytes], on_line: Callable[[str], None]) -> None:
        os.set_blocking(file.fileno(), False)
        self._file = file  # unbuffered
        self._on_line = on_line
        self._partial = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(file, self.read)

    def read(self) -> bool:
        """Pass on the lines that have arrived; False when there was nothing."""
        if self._file.closed:
            return False
        data = self._file.read(_PIPE_BYTES)
        if data is None:  # nothing there yet
            return False
        if not data:
            self._end()
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._pass_on(line)
        if len(self._partial) > _MAX_LINE:
            self._pass_on(self._partial)
            self._partial = b""
        return True

    def close(self) -> None:
        """Pass on what is left, then let go of the descriptor; harmless when repeated."""
        for _ in range(_LAST_READS):  # not until it is empty: a process that outlived its replica may go on writing
            if not self.read():
                break
        self._end()

    def _pass_on(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        for start in range(0, len(text) or 1, _MAX_LINE):
            self._on_line(text[start : start + _MAX_LINE])

    def _end(self) -> None:
        if self._file.closed:
            return
        self._loop.remove_reader(self._file)
        self._file.close()
        if self._partial:
            self._pass_on(self._partial)
            self._partial = b""
