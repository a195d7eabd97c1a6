"""GET /results/{id}: what became of a message, and the same document as the answer to Prefer: wait."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from millrace.sources.http import problems
from millrace.sources.http.preferences import asked_wait_s
from millrace.sources.http.presence import while_connected
from millrace.sources.http.replies import Reply, json_reply
from millrace.sources.http.requests import Request
from millrace.sources.http.waiting import Waiting, finished
from millrace.types import Failure, Record


class Told(msgspec.Struct, frozen=True):
    """A failure as clients see it: its traceback stays in the log and in `millrace result`."""

    type: str
    message: str


class ResultDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record as clients see it; times are Unix seconds."""

    id: str
    queue: str
    state: str
    value: msgspec.Raw | None = None
    failure: Told | None = None
    attempts: int = 0
    function: str = ""
    version: str = ""
    accepted_at: float | msgspec.UnsetType = msgspec.UNSET
    started_at: float | msgspec.UnsetType = msgspec.UNSET
    finished_at: float | msgspec.UnsetType = msgspec.UNSET


def told(failure: Failure) -> Told:
    """A failure without its traceback."""
    return Told(failure.type, failure.message)


def document(record: Record) -> ResultDocument:
    """The record without what only its owner should read."""
    return ResultDocument(
        id=record.id,
        queue=record.queue,
        state=record.state,
        value=record.value,
        failure=None if record.failure is None else told(record.failure),
        attempts=record.attempts,
        function=record.function,
        version=record.version,
        accepted_at=record.accepted_at or msgspec.UNSET,
        started_at=record.started_at or msgspec.UNSET,
        finished_at=record.finished_at or msgspec.UNSET,
    )


def location(id: str) -> str:
    """Where a message's result is."""
    return f"/results/{quote(id, safe='')}"


def failed(record: Record, *, hopeless: bool) -> problems.Problem:
    """The problem that a dead message means: 422 when its input was declared hopeless, else 500."""
    failure = record.failure or Failure("", "The message became a dead letter.")
    return problems.Problem(
        422 if hopeless else 500,
        "function-failed",
        "The function failed",
        f"{failure.type}: {failure.message}" if failure.type else failure.message,
        id=record.id,
        function=record.function,
        attempts=record.attempts,
        failure=told(failure),
        result=location(record.id),
    )


class ResultsEndpoint:
    """GET /results/{id}, held for up to ?wait= seconds until the message is done or dead."""

    def __init__(self, waiting: Waiting, max_wait_s: float) -> None:
        self._waiting = waiting
        self._max_wait_s = max_wait_s

    async def __call__(self, request: Request) -> Reply:
        id = request.path_parameters["id"]
        wait_s = asked_wait_s(request, self._max_wait_s)
        found = self._waiting.get(id, wait_s)
        record = await while_connected(request, found) if wait_s else await found
        if record is None:
            raise problems.no_result(id)
        return json_reply(document(record), headers=() if finished(record) else problems.RETRY_AFTER)
