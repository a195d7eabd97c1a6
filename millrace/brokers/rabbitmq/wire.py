"""The four frames of AMQP 0-9-1 that travel once a message, written and cut out without objects in between.

Everything else is encoded by pika. A frame is kind (1 byte), channel (2), size (4), payload, 0xCE; a message is a
method frame, a content header (class, weight, body's size, properties) and body frames of at most frame_max bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from struct import Struct

import msgspec

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
DELIVER, GET_OK, RETURN = 0x003C003C, 0x003C0047, 0x003C0032  # class and method: what comes before a message
DELIVERS = DELIVER.to_bytes(4, "big")
PUBLISHED, REFUSED = 0x003C0050, 0x003C0078  # basic.ack and basic.nack, from the broker
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
_KINDS = frozenset({METHOD, HEADER, BODY, HEARTBEAT})
_LONGEST = 1 << 20  # bytes: more than any broker is told that it may send
_END = b"\xce"
_FRAME = Struct(">BHI")
_METHOD_FRAME = Struct(">BHII")
_CONTENT = Struct(">BHIHHQ")
_BASIC = 60
_ACK = Struct(">BHIIQBB")
_TAG = Struct(">QB")
_OVERHEAD = 8  # bytes of a frame around its payload

Frame = tuple[int, int, int, int]  # kind, channel, where the payload begins and ends


class Delivery(msgspec.Struct, gc=False):
    """A message as it came: its tag on the channel, its properties and body, and whether it had been given before."""

    tag: int
    properties: bytes
    body: bytes
    redelivered: bool


def frames(data: bytes, at: int = 0) -> Iterator[Frame]:
    """The whole frames in received bytes from `at` on; what is left begins behind the last one's end mark.

    Raises ValueError where the stream is no AMQP.
    """
    size = len(data)
    unpack = _FRAME.unpack_from
    while size - at >= _OVERHEAD:
        kind, channel, length = unpack(data, at)
        if kind not in _KINDS or length > _LONGEST:
            raise ValueError("what begins here is no frame")
        end = at + 7 + length
        if end >= size:
            return
        if data[end] != 0xCE:
            raise ValueError("a frame without its end mark")
        yield kind, channel, at + 7, end
        at = end + 1


def deliveries(data: bytes, channel: int, at: int) -> tuple[list[Delivery], int]:
    """The messages that a channel delivers, one behind the other from `at` on, and where the last of them ends.

    Only those that are here as a whole, in three frames: all but one of a busy queue's in each read. Whatever else
    comes, and what is no AMQP, is left to `frames`.
    """
    found: list[Delivery] = []
    size = len(data)
    method, tagged, content, part = (
        _METHOD_FRAME.unpack_from,
        _TAG.unpack_from,
        _CONTENT.unpack_from,
        _FRAME.unpack_from,
    )
    with suppress(struct.error, IndexError):  # no more of the next one is here
        while True:
            kind, number, length, index = method(data, at)
            if index != DELIVER or kind != METHOD or number != channel:
                break
            header = at + 8 + length
            tag, redelivered = tagged(data, at + 12 + data[at + 11])
            kind, number, length, _, _, body_size = content(data, header)
            body = header + 15 + length
            if (kind, number) != (HEADER, channel) or part(data, body - 7) != (BODY, channel, body_size):
                break
            end = body + body_size
            if end >= size or data[header - 1] != 0xCE or data[body - 8] != 0xCE or data[end] != 0xCE:
                break
            found.append(Delivery(tag, data[header + 19 : body - 8], data[body:end], redelivered != 0))
            at = end + 1
    return found, at


def tag_of(data: bytes, start: int, *, named: bool) -> tuple[int, bool]:
    """Delivery tag, and whether it was delivered before, of a method at `start`; `named` after a consumer's tag."""
    at = start + 4 + (1 + data[start + 4] if named else 0)
    tag, redelivered = _TAG.unpack_from(data, at)
    return tag, bool(redelivered)


@lru_cache(maxsize=1024)
def _publish(channel: int, exchange: str, routing_key: str) -> bytes:
    """basic.publish, mandatory: what no queue would take comes back instead of vanishing."""
    name, key = exchange.encode(), routing_key.encode()
    payload = b"\0\0" + bytes([len(name)]) + name + bytes([len(key)]) + key + b"\1"
    return _METHOD_FRAME.pack(METHOD, channel, 4 + len(payload), 0x003C0028) + payload + _END


def publish(channel: int, exchange: str, routing_key: str, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """A message on its way: method, header and body frames."""
    size = len(body)
    header = _CONTENT.pack(HEADER, channel, 12 + len(properties), _BASIC, 0, size)
    pieces = [_publish(channel, exchange, routing_key), header, properties, _END]
    most = frame_max - _OVERHEAD
    for start in range(0, size, most):
        part = body if size <= most else body[start : start + most]
        pieces += [_FRAME.pack(BODY, channel, len(part)), part, _END]
    return b"".join(pieces)


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """basic.ack: the message, or all up to it, may be deleted."""
    return _ACK.pack(METHOD, channel, 13, 0x003C0050, tag, multiple, 0xCE)


def requeue(channel: int, tag: int) -> bytes:
    """basic.nack of one message, which goes back to its queue."""
    return _ACK.pack(METHOD, channel, 13, 0x003C0078, tag, 2, 0xCE)
