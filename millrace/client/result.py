"""What a program gets back: one frozen value for each message, the same over a file and over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from millrace.errors import MillraceError
from millrace.types import Failure, Record, State


class NotFinished(MillraceError, TimeoutError):
    """The message was neither done nor dead in time; it is still on its way, and may be waited for again."""


class GatewayError(MillraceError):
    """The gateway could not be reached, or refused; `status` is the HTTP status, 0 without an answer."""

    def __init__(self, problem: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(problem, hint)
        self.status = status


class Result(msgspec.Struct, frozen=True):
    """What became of one message; times are Unix seconds, 0.0 when it did not come to that.

    `value` is the function's result, decoded from JSON, once `state` is done; `failure` is the last error:
    the reason when `state` is dead, and what the next try is for when it is retrying.
    """

    id: str
    queue: str
    state: State
    value: Any = None
    failure: Failure | None = None
    attempts: int = 0
    function: str = ""
    version: str = ""
    accepted_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether it is done or dead, so that nothing will change any more."""
        return self.state in ("done", "dead")

    @property
    def duration_s(self) -> float | None:
        """Seconds from accepted to finished, None before that."""
        return self.finished_at - self.accepted_at if self.finished else None


def from_record(record: Record) -> Result:
    """A record as the stores keep it, its value decoded."""
    return Result(
        id=record.id,
        queue=record.queue,
        state=record.state,
        value=None if record.value is None else msgspec.json.decode(record.value),
        failure=record.failure,
        attempts=record.attempts,
        function=record.function,
        version=record.version,
        accepted_at=record.accepted_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
    )
