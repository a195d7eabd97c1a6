"""What SQS lets through: identifiers, characters, ranges, batches.

Sources: SQS API reference; SQS developer guide, "Amazon SQS message quotas".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from millrace.aws.sqs.errors import SqsError, invalid, invalid_value

_MOST_ENTRIES = 10
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TOKEN = re.compile(r"[!-~]{1,128}")
_FIFO = ".fifo"
# Bytes that no character of UTF-8 but the forbidden one has; U+FFFE and U+FFFF, which begin alike, are the two others.
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")
_FFFE, _FFFF = "\ufffe".encode(), "\uffff".encode()


class Entry(Protocol):
    """One of a batch."""

    @property
    def id(self) -> str:
        """The name that its result goes by."""
        ...


def allowed(data: bytes) -> bool:
    """Whether a text, as UTF-8, has only characters that XML 1.0 knows, which are those that SQS carries."""
    if len(data.translate(None, _CONTROLS)) != len(data):
        return False
    return data.isascii() or (_FFFE not in data and _FFFF not in data)


def check_entries(entries: Sequence[Entry], kind: str) -> None:
    """Raise SqsError for a batch that is refused as a whole; `kind` is what AWS calls its entries."""
    if not entries:
        raise SqsError("EmptyBatchRequest", f"There should be at least one {kind} in the request.")
    if len(entries) > _MOST_ENTRIES:
        problem = f"Maximum number of entries per request are {_MOST_ENTRIES}. You have sent {len(entries)}."
        raise SqsError("TooManyEntriesInBatchRequest", problem)
    ids: set[str] = set()
    for entry in entries:
        if _ENTRY_ID.fullmatch(entry.id) is None:
            problem = "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
            raise SqsError("InvalidBatchEntryId", f"{problem} It can be at most 80 letters long.")
        if entry.id in ids:
            raise SqsError("BatchEntryIdsNotDistinct", f"Id {entry.id} repeated.")
        ids.add(entry.id)


def check_range(value: int | None, parameter: str, low: int, high: int) -> None:
    """Raise SqsError for a number that is out of its range; None is the queue's own."""
    if value is not None and not low <= value <= high:
        raise invalid_value(value, parameter, f"Must be between {low} and {high}, if provided.")


def check_token(value: str, parameter: str) -> None:
    """Raise SqsError for a group id, deduplication id or attempt id that is none."""
    if _TOKEN.fullmatch(value) is None:
        reason = f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise invalid_value(value, parameter, reason)


def check_name(name: str, *, fifo: bool) -> None:
    """Raise SqsError for a name that no queue of this kind can have."""
    stem = name.removesuffix(_FIFO) if fifo else name
    if _QUEUE_NAME.fullmatch(stem) and len(name) <= 80 and (stem != name or not fifo):
        return
    if fifo:
        start = "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end"
        raise invalid(f"{start} with .fifo suffix and be 1 to 80 in length.")
    raise invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
