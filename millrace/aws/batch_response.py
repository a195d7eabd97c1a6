"""Which records of a batch failed, by what the handler returned: Lambda's partial batch response.

    null, {}, no batchItemFailures, an empty or null list        all done
    {"batchItemFailures": [{"itemIdentifier": id}, ...]}         those named failed
    what is no list, a list of another shape; an id that is empty, null, unknown  all failed
    anything else                                                all done

Where partial responses are switched off, all of them are done. A stream's
failures reach from the lowest one named to the end, since Lambda reads a stream again from there.

Rules: AWS Lambda developer guide, "Handling errors for an SQS event source in Lambda" and "Configuring partial batch
response with DynamoDB and Lambda".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millrace.types import Failure

ITEM_FAILURE = "BatchItemFailure"  # the type of a failure that the handler reported itself
_KEY = "batchItemFailures"


def failures(result: Any, identifiers: Sequence[str], *, stream: bool) -> dict[int, Failure]:
    """The records that failed, by index; `identifiers` are the records' message ids or sequence numbers, in order."""
    listed = result.get(_KEY) if isinstance(result, dict) else None
    if listed is None or listed == []:
        return {}
    named = _named(listed, {identifier: index for index, identifier in enumerate(identifiers)})
    if isinstance(named, str):
        fault = Failure("BatchResponseError", named, mro=("BatchResponseError",))
        return dict.fromkeys(range(len(identifiers)), fault)
    found = {index: _reported("The handler named this record in batchItemFailures.") for index in named}
    if stream:
        behind = _reported("The handler named an earlier record of the stream, which is read again from there.")
        found |= {index: behind for index in range(min(named), len(identifiers)) if index not in found}
    return found


def _reported(text: str) -> Failure:
    return Failure(ITEM_FAILURE, text, mro=(ITEM_FAILURE,))


def _named(listed: Any, places: dict[str, int]) -> set[int] | str:
    """The places of the records named, or what is wrong with the list."""
    if not isinstance(listed, list):
        return f"expected {_KEY} to be a list, got {type(listed).__name__}"
    found = set()
    for index, item in enumerate(listed):
        path = f"{_KEY}[{index}]"
        if not isinstance(item, dict) or "itemIdentifier" not in item:
            return f'expected {path} to be {{"itemIdentifier": ID}}, got {item!r:.100}'
        identifier = item["itemIdentifier"]
        if not isinstance(identifier, str) or identifier not in places:
            return f"expected {path}.itemIdentifier to be the id of a record of this batch, got {identifier!r:.100}"
        found.add(places[identifier])
    return found
