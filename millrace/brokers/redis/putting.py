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
            arguments += (id, put.dedupe, _ms(put.delay_s), _ms(put.ttl_s), len(fields))
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


def _ms(seconds: float | None) -> int | str:
    return "" if seconds is None else math.ceil(seconds * 1000)
