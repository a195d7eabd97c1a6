"""What stands in a log file: entries, and once for each big batch the names of its members."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: `ts` is Unix seconds, `stream` is stdout, stderr or log, `pid` the replica's."""

    ts: float
    level: str
    function: str
    stream: str
    text: str
    request_id: str = ""
    message_ids: tuple[str, ...] = ()
    pid: int = 0


class Members(msgspec.Struct, frozen=True):
    """The messages of a big batch, written once before its first line: a line has only the request id."""

    ts: float
    function: str
    request_id: str
    members: tuple[str, ...]


class Said(Protocol):
    """A line as a replica sends it (`wire.Line`)."""

    @property
    def stream(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def message_ids(self) -> tuple[str, ...]: ...
    @property
    def at(self) -> float: ...
    @property
    def pid(self) -> int: ...


encode = msgspec.json.Encoder().encode
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_members = msgspec.json.Decoder(Members).decode


def parse(line: bytes) -> Entry | Members | None:
    """What a line of a log file holds, None for a line that is neither."""
    try:
        return _decode_entry(line)
    except msgspec.MsgspecError:
        pass
    try:
        return _decode_members(line)
    except msgspec.MsgspecError:
        return None  # cut off by a crash
