"""Where results go: a function's `to:` list, compiled into the effects of one result.

Every effect is keyed by the input's id, the function and the sink's index, so that a repeat overwrites or is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from millrace.aws.events.dynamodb import marshal
from millrace.aws.rows import row_key
from millrace.config.schema import Sink
from millrace.ids import derived_id
from millrace.types import JSON, Lease, Message, Object, Post, Put, Row

_ATTRIBUTES = {"content-type": JSON}
# Numbers keep their digits.
_fields = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Effects(msgspec.Struct, gc=False):
    """What one result writes."""

    rows: tuple[Row, ...] = ()
    objects: tuple[Object, ...] = ()
    posts: tuple[Post, ...] = ()
    puts: tuple[Put, ...] = ()


class Sinks:
    """The effects of a function's results; `table_keys` gives each table's key fields, one or two."""

    def __init__(self, function: str, sinks: Sequence[Sink], table_keys: Mapping[str, Sequence[str]]) -> None:
        self._function = function
        self._tables = [(sink.table, _row_maker(*table_keys[sink.table])) for sink in sinks if sink.table]
        self._queues = [(index, sink.queue) for index, sink in enumerate(sinks) if sink.queue]
        self._buckets = [tuple(sink.bucket.split("/", 1)) for sink in sinks if sink.bucket]
        self._webhooks = [(index, sink.webhook) for index, sink in enumerate(sinks) if sink.webhook]
        self._any = bool(sinks)

    def effects(self, lease: Lease, value: bytes, now: float) -> Effects:
        """What `value` (JSON), the result for this lease's message, writes at Unix time `now`."""
        effects = Effects()
        if not self._any:
            return effects
        id = lease.message.id
        if self._tables:
            effects.rows = tuple([Row(table, *make(id, value)) for table, make in self._tables])
        if self._queues:
            effects.puts = tuple([self._put(lease.message, index, queue, value, now) for index, queue in self._queues])
        if self._buckets:
            effects.objects = tuple([Object(name, self._key(key, lease), value) for name, key in self._buckets])
        if self._webhooks:
            effects.posts = tuple([Post(url, derived_id(id, self._function, i), value) for i, url in self._webhooks])
        return effects

    def _put(self, source: Message, index: int, queue: str, value: bytes, now: float) -> Put:
        id = derived_id(source.id, self._function, index)
        return Put(queue, Message(id, value, _ATTRIBUTES, now, source.group))

    def _key(self, template: str, lease: Lease) -> str:
        # Times are those of the message, not of the run: a repeat must overwrite, tomorrow too.
        sent = time.gmtime(lease.message.sent_at)
        return template.format(
            id=quote(lease.message.id, safe=""),
            function=self._function,
            queue=lease.queue,
            date=time.strftime("%Y-%m-%d", sent),
            year=time.strftime("%Y", sent),
            month=time.strftime("%m", sent),
            day=time.strftime("%d", sent),
            hour=time.strftime("%H", sent),
        )


def _row_maker(key_field: str, sort_field: str | None = None) -> Callable[[str, bytes], tuple[str, bytes]]:
    """Make (key, row) of (message id, result).

    The row is the result's fields beside the key field; a result that is no object stands under `value`. A result that
    has the key field itself names its own row, as an item written through DynamoDB's API does: with the sort field,
    where the table has one.
    """
    quoted = msgspec.json.encode(key_field)
    opening = b"{" + quoted + b":"

    def make(id: str, value: bytes) -> tuple[str, bytes]:
        key = msgspec.json.encode(id)
        if not value.startswith(b"{"):
            return id, opening + key + b',"value":' + value + b"}"
        if quoted in value:  # perhaps only deeper inside: then the field must not be there twice
            fields = _fields.decode(value)
            if (own := fields.pop(key_field, None)) is not None:
                sort = fields.get(sort_field) if sort_field else None
                return row_key([_key_value(part) for part in (own, sort) if part is not None]), value
            value = _encoder.encode(fields)
        return id, opening + key + (b"}" if value == b"{}" else b"," + value[1:])

    return make


def _key_value(part: Any) -> dict[str, Any]:
    """A part of a key as DynamoDB's attribute value; what cannot be one there is its JSON."""
    if isinstance(part, str | int | Decimal) and not isinstance(part, bool):
        return marshal(part)
    return {"S": _encoder.encode(part).decode()}
