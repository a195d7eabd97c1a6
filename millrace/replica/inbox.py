"""What the parent sends, for the thread that runs user code.

That thread reads for itself: handed over by another, each call would cost two threads the interpreter lock. A model's
batches are read by a thread, since the next is preprocessed while one is in predict. Either way a thread notices at
once that the parent is gone, whatever user code is doing.
"""

from __future__ import annotations

import queue
import select
import socket
import threading
from collections.abc import Callable, Iterator

import msgspec

from millrace.wire import Frame, Frames, Stop

_ROOM_BYTES = 1 << 18


class Inbox:
    """Frames in order; `left` is called, in whichever thread, when the parent is gone."""

    def __init__(self, connection: socket.socket, left: Callable[[], object]) -> None:
        self._socket = connection
        self._left = left
        self._arriving = self._read()
        self._ahead: queue.SimpleQueue[Frame] | None = None

    def get(self) -> Frame:
        """The next frame; Stop where there is no parent any more, and this process goes on without."""
        return next(self._arriving) if self._ahead is None else self._ahead.get()

    def watch(self) -> None:
        """From now on a thread notices when the parent is gone."""
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def read_ahead(self, arrived: Callable[[Frame], object]) -> None:
        """From now on a thread reads, and shows `arrived` each frame as soon as it is there."""
        self._ahead = queue.SimpleQueue()
        threading.Thread(target=self._hand_over, args=(arrived, self._ahead), name="reader", daemon=True).start()

    def _read(self) -> Iterator[Frame]:
        frames, room = Frames(), memoryview(bytearray(_ROOM_BYTES))
        try:
            while count := self._socket.recv_into(room):
                yield from frames.feed(room[:count])
        except (OSError, msgspec.DecodeError):
            pass
        self._left()
        while True:
            yield Stop()

    def _hand_over(self, arrived: Callable[[Frame], object], inbox: queue.SimpleQueue[Frame]) -> None:
        for frame in self._arriving:
            arrived(frame)
            inbox.put(frame)
            if isinstance(frame, Stop):
                break

    def _watch(self) -> None:
        ended = select.poll()
        ended.register(self._socket, 0)  # nothing that can be read wakes it: only the end does
        ended.poll()
        self._left()
