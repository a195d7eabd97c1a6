"""What the script put.lua is told and what it answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from millrace.brokers.redis.fields import fields_of, id_in, place_of
from millrace.types import Accepted, Put


def by_queue(puts: Sequence[Put]) -> dict[str, list[int]]:
    """Where the puts of each queue are, in the order of the queues' first."""
    queues: defaultdict[str, list[int]] = defaultdict(list)
    for place, put in enumerate(puts):
        queues[put.queue].append(place)
    return queues


def arguments_of(puts: Sequence[Put], queues: Mapping[str, Sequence[int]], now_s: float) -> list[str | bytes | int]:
    """The arguments of put.lua; messages without a time are sent now (Unix seconds)."""
    arguments: list[str | bytes | int] = [len(queues)]
    for queue, places in queues.items():
        arguments += (queue, len(places))
        for place in places:
            put = puts[place]
            message = put.message
            if not message.sent_at:
                message = msgspec.structs.replace(message, sent_at=now_s)
            id, fields = fields_of(message)
            arguments += (id, _options(put), len(fields))
            arguments += fields
    return arguments


def accepted_of(puts: Sequence[Put], queues: Mapping[str, Sequence[int]], answers: Sequence[Any]) -> list[Accepted]:
    """The answers of put.lua in the order of the puts."""
    accepted: list[Accepted] = [None] * len(puts)  # type: ignore[list-item]
    for place, answer in zip((place for places in queues.values() for place in places), answers, strict=True):
        if isinstance(answer, bytes):
            accepted[place] = Accepted(puts[place].message.id, False, place_of(answer.decode()))
        else:
            id, entry = (each.decode() for each in answer)
            accepted[place] = Accepted(id_in(id), True, place_of(entry) if entry else 0)
    return accepted


def _options(put: Put) -> str:
    """What a put says beyond its message: nothing, or JSON."""
    found: dict[str, str | int] = {}
    if put.dedupe:
        found["dedupe"] = put.dedupe
    if put.delay_s is not None:
        found["delay_ms"] = math.ceil(put.delay_s * 1000)
    if put.ttl_s is not None:
        found["ttl_ms"] = math.ceil(put.ttl_s * 1000)
    return msgspec.json.encode(found).decode() if found else ""
