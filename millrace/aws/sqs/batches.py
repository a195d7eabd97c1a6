"""A batch of which some entries fail: the others are done, and each failure says why."""

from __future__ import annotations

from millrace.aws.sqs.errors import SqsError
from millrace.aws.sqs.results import BatchResultErrorEntry

Failures = dict[str, SqsError]  # by entry id


def told(failures: Failures) -> list[BatchResultErrorEntry] | None:
    """The failures as a result has them, None where there are none."""
    found = [
        BatchResultErrorEntry(id=id, sender_fault=error.sender, code=error.code, message=error.message)
        for id, error in failures.items()
    ]
    return found or None
