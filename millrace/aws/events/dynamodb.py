"""Changes of a table, as a DynamoDB stream with new and old images.

Shape: AWS Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB"; DynamoDB Streams API reference, "Record".
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from millrace.aws.arns import arn
from millrace.source import RowChange, View
from millrace.wire import Spec

_TYPED = "$dynamodb"  # the only field of an object that stands for a type for which JSON has no form
_NAMES = {"insert": "INSERT", "modify": "MODIFY", "remove": "REMOVE"}
_SHOWN: dict[View, str] = {
    "new_and_old": "NEW_AND_OLD_IMAGES",
    "new": "NEW_IMAGE",
    "old": "OLD_IMAGE",
    "keys": "KEYS_ONLY",
}
# Numbers are text in DynamoDB: binary floating point would change their digits.
_decoder = msgspec.json.Decoder(float_hook=Decimal)

Json = dict[str, Any]


def event(changes: Sequence[RowChange], ids: Sequence[str], spec: Spec) -> Json:
    """`{"Records": [...]}` for changes that are handed over together; `ids` are their messages'."""
    return {"Records": [_record(change, id, spec) for change, id in zip(changes, ids, strict=True)]}


def stream_arn(table: str, spec: Spec) -> str:
    """A table's stream, which AWS names by the moment it was made and we by the stage."""
    return arn(spec, "dynamodb", f"table/{table}/stream/{spec.stage or 'local'}")


def sequence_number(change: RowChange) -> str:
    """A change's place in the stream: 21 digits, the fewest that DynamoDB uses, so text sorts as the numbers do."""
    return f"{change.sequence:021d}"


def marshal(value: Any) -> Json:
    """A JSON value as DynamoDB's attribute value: `{"S": "text"}`, `{"N": "1.5"}`, `{"M": {...}}` and so on.

    `{"$dynamodb": {"B": ...}}` is what it says: binary values and sets have no form in JSON.
    """
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, list):
        return {"L": [marshal(item) for item in value]}
    if value.keys() == {_TYPED} and isinstance(value[_TYPED], dict):
        return dict(value[_TYPED])
    return {"M": {name: marshal(item) for name, item in value.items()}}


def _record(change: RowChange, id: str, spec: Spec) -> Json:
    return {
        "eventID": blake2b(id.encode(), digest_size=16).hexdigest(),
        "eventName": _NAMES[change.kind],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": spec.region,
        "dynamodb": _change(change),
        "eventSourceARN": stream_arn(change.table, spec),
    }


def _change(change: RowChange) -> Json:
    old, new = _image(change.old), _image(change.new)
    shown: Json = {"ApproximateCreationDateTime": int(change.at), "Keys": _keys(change, new or old or {})}
    if new is not None and change.view in ("new", "new_and_old"):
        shown["NewImage"] = new
    if old is not None and change.view in ("old", "new_and_old"):
        shown["OldImage"] = old
    return shown | {
        "SequenceNumber": sequence_number(change),
        "SizeBytes": _size(change),
        "StreamViewType": _SHOWN[change.view],
    }


def _keys(change: RowChange, image: Json) -> Json:
    keys = {change.key_field: image.get(change.key_field, {"S": change.key})}
    if change.sort_field in image:
        keys[change.sort_field] = image[change.sort_field]
    return keys


def _size(change: RowChange) -> int:
    """Bytes of the images as JSON; DynamoDB counts its own encoding, so this is near it and no more."""
    return sum(len(bytes(raw)) for raw in (change.old, change.new) if raw is not None and bytes(raw) != b"null")


def _image(raw: msgspec.Raw | None) -> Json | None:
    # No image is None where the change was made, and Raw(b"null") where it was read.
    row = None if raw is None else _decoder.decode(raw)
    return None if row is None else {name: marshal(value) for name, value in row.items()}
