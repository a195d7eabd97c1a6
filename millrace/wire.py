"""What the parent and a replica say to each other: MessagePack frames, each behind its length (4 bytes, big endian).

parent → replica   Setting (to one that was started ahead of its Spec), Run, Stop
replica → parent   Ready or LoadFailed, then Began (of models) and Ran for each Run, in order; Line at any time

The replica inherits one end of a socket pair; its number is the first argument, the Spec is the first frame
but for the Setting.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from millrace.types import Failure, Message

LENGTH = struct.Struct(">I")


class Spec(msgspec.Struct, frozen=True, tag=True):
    """What a replica runs: `target` is the dotted path that `model:`, `handler:` or `wsgi:` names."""

    function: str
    kind: str  # model, handler or wsgi
    target: str
    root: str  # the project's folder: first on sys.path, and the working directory
    timeout_s: float
    memory_bytes: int
    threads: int  # that preprocess and postprocess
    service: str = ""
    stage: str = ""
    region: str = "us-east-1"
    account: str = "000000000000"
    name: str = ""  # what AWS calls the function; empty: as it is called here


class Setting(msgspec.Struct, frozen=True, tag=True):
    """The whole environment of a replica that was started before anybody knew it."""

    environment: dict[bytes, bytes]  # as the system has it: not all of it need be UTF-8


class Run(msgspec.Struct, frozen=True, tag=True):
    """Run these messages as one batch; the lists are of one length, but those for handlers are empty for models."""

    batch: int
    request_id: str
    queue: str
    messages: list[Message]
    attempts: list[int]
    receipts: list[str]  # receipt handles, for handlers
    first_taken: list[float] = []  # Unix seconds of the first delivery, 0.0 when unknown; for handlers
    sequences: list[int] = []  # places in the queue's order, 0 when unknown; for handlers
    partial: bool = True  # whether batchItemFailures in a handler's answer counts


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Finish what was received, then exit 0."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The function is loaded; `version` is the user's own, or a hash of the module that defines it."""

    version: str


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The function could not be loaded; the replica exits after this."""

    failure: Failure


class Began(msgspec.Struct, frozen=True, tag=True):
    """predict begins now for this batch: its time limit counts from here. A handler's counts from its turn."""

    batch: int


class Ran(msgspec.Struct, frozen=True, tag=True):
    """A batch's results: `values` has JSON for each message, None where `failures` (by index) has the reason.

    `failure` is set when predict failed as a whole: then `values` is empty, `failures` holds only what preprocess
    refused, and nobody knows yet who is to blame.
    """

    batch: int
    values: list[bytes | None]
    failures: dict[int, Failure]
    failure: Failure | None
    predict_s: float


class Line(msgspec.Struct, frozen=True, tag=True):
    """A line that user code printed or logged, with what it was working on."""

    stream: str  # stdout, stderr or a logging level's name
    text: str
    request_id: str
    message_ids: tuple[str, ...]
    at: float
    pid: int = 0


Frame = Setting | Spec | Run | Stop | Ready | LoadFailed | Began | Ran | Line

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes | bytearray:
    """A frame as it goes over the socket, length included."""
    if isinstance(frame, Run) and len(frame.messages) > 1:  # megabytes, maybe: not again, behind their length
        data = bytearray(LENGTH.size)
        _encoder.encode_into(frame, data, LENGTH.size)
        LENGTH.pack_into(data, 0, len(data) - LENGTH.size)
        return data
    body = _encoder.encode(frame)
    return LENGTH.pack(len(body)) + body


class Frames:
    """Bytes in, frames out: feed what arrived, iterate over what is complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """The frames that `data` completes; raises msgspec.DecodeError for a frame that is none of ours."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= LENGTH.size:
                (length,) = LENGTH.unpack_from(buffer, start)
                end = start + LENGTH.size + length
                if len(buffer) < end:
                    break
                frame = _decoder.decode(memoryview(buffer)[start + LENGTH.size : end])
                start = end
                yield frame
        finally:
            del buffer[:start]
