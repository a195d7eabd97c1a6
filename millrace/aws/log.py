"""One invocation's log as Lambda's platform writes it: START, what the function wrote, why it failed, END, REPORT.

Lines: AWS Lambda developer guide, "Lambda runtime environment" (Status, Error Type); the runtime's own for errors:
aws-lambda-python-runtime-interface-client, bootstrap.py, `log_error`.
"""

from __future__ import annotations

import math

import msgspec

from millrace.aws import errors
from millrace.aws.environment import LATEST
from millrace.aws.moments import millis_text
from millrace.types import Failure


class Invocation(msgspec.Struct, frozen=True):
    """What is known of one invocation when it has ended; `ended_at` is Unix seconds, `used_bytes` 0 when unknown."""

    request_id: str
    memory_mb: int
    spent_s: float
    ended_at: float
    used_bytes: int = 0
    failure: Failure | None = None


def log_of(invocation: Invocation, text: str) -> str:
    """The whole log; `text` are the lines that the function wrote."""
    id, failure = invocation.request_id, invocation.failure
    error = "" if failure is None else _error_lines(failure, id, invocation.ended_at)
    return f"START RequestId: {id} Version: {LATEST}\n{text}{error}END RequestId: {id}\n{_report(invocation)}\n"


def _report(invocation: Invocation) -> str:
    spent_ms, failure = max(0.0, invocation.spent_s) * 1000, invocation.failure
    memory_mb, used_mb = invocation.memory_mb, invocation.used_bytes // 2**20
    if failure is not None and failure.type == errors.OUT_OF_MEMORY:
        used_mb = memory_mb
    fields = [
        f"REPORT RequestId: {invocation.request_id}",
        f"Duration: {spent_ms:.2f} ms",
        f"Billed Duration: {math.ceil(spent_ms)} ms",
        f"Memory Size: {memory_mb} MB",
        *([f"Max Memory Used: {used_mb} MB"] if used_mb else []),
        *_status(failure),
    ]
    return "".join(f"{field}\t" for field in fields)


def _status(failure: Failure | None) -> list[str]:
    if failure is None or not failure.type.startswith(errors.PLATFORM) or failure.type in errors.RUNTIMES:
        return []
    if failure.type == errors.TIMED_OUT:
        return ["Status: timeout"]
    return ["Status: error", f"Error Type: {failure.type}"]


def _error_lines(failure: Failure, request_id: str, at: float) -> str:
    if failure.type == errors.TIMED_OUT:
        said = failure.message.rpartition("Error: ")[2]
        return f"{millis_text(at)} {request_id} {said}\n\n"
    if failure.type in errors.KILLED:
        return f"{failure.message}\n{failure.type}\n"
    named = errors.document(failure, request_id)
    traceback = named["stackTrace"]
    lines = [f"[ERROR] {named['errorType']}: {named['errorMessage']}", "Traceback (most recent call last):"]
    return "\n".join([*lines, *(frame.rstrip("\n") for frame in traceback)]) + "\n"
