"""JetStream's API: JSON asked of `$JS.API.` subjects.

Its source is docs.nats.io/reference/reference-protocols/nats_api_reference, for direct gets ADR-31 of
nats-io/nats-architecture-and-design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from millrace.brokers.nats.asked import Answer, Request, Silent
from millrace.brokers.nats.link import Link
from millrace.brokers.nats.names import CONSUMER
from millrace.brokers.nats.wire import headers_in, status_in
from millrace.errors import BrokerError

_API = "$JS.API."
_SOON_S = 1.0
NO_STREAM, NO_CONSUMER, IN_USE = 10059, 10014, 10058
WRONG_SEQUENCE, FULL, NO_REPLY = 10071, 10077, 503
_ABSENT = frozenset({NO_STREAM, NO_CONSUMER, NO_REPLY})


class ApiError(BrokerError):
    """What JetStream refused, with its number."""

    def __init__(self, number: int, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.number = number


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A message as it lies in a stream; `stored_ns` is Unix nanoseconds, headers have names in lower case."""

    sequence: int
    stored_ns: int
    headers: dict[str, str]
    body: bytes


class Api:
    """Calls, each of which raises ApiError where the server refuses, and BrokerError where it does not answer."""

    def __init__(self, link: Link) -> None:
        self.link = link

    async def call(self, name: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """One call by its name, as STREAM.INFO.orders."""
        answer = await self.link.ask(_API + name, msgspec.json.encode(body) if body else b"")
        return read(answer, name)

    async def stream(self, name: str) -> dict[str, Any] | None:
        """A stream's configuration and state; None when there is none."""
        try:
            return await self.call(f"STREAM.INFO.{name}")
        except ApiError as error:
            if error.number == NO_STREAM:
                return None
            raise

    async def consumer(self, stream: str) -> dict[str, Any]:
        """The state of a stream's one consumer."""
        return await self.call(f"CONSUMER.INFO.{stream}.{CONSUMER}")

    async def streams(self) -> list[dict[str, Any]]:
        """All streams of the account, a page at a time."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self.call("STREAM.LIST", {"offset": len(found)})
            found += page.get("streams") or []
            if len(found) >= page["total"] or not page.get("streams"):
                return found

    async def delete(self, stream: str, sequences: Sequence[int]) -> list[bool]:
        """Delete messages; say of each whether it was there."""
        asked = [
            Request(f"{_API}STREAM.MSG.DELETE.{stream}", msgspec.json.encode({"seq": number, "no_erase": True}))
            for number in sequences
        ]
        return [msgspec.json.decode(answer.body).get("success", False) for answer in await self.link.ask_all(asked)]

    async def at(self, stream: str, sequences: Sequence[int]) -> list[Stored | None]:
        """The messages at these places."""
        bodies = [b'{"seq":%d}' % number for number in sequences]
        return await self._direct(stream, bodies)

    async def next(self, stream: str, subject: str, sequence: int) -> Stored | None:
        """The first message at a place or behind it."""
        body = msgspec.json.encode({"seq": sequence, "next_by_subj": subject})
        return (await self._direct(stream, [body]))[0]

    async def last(self, stream: str, subjects: Sequence[str]) -> list[Stored | None]:
        """The last message of each subject."""
        bodies = [msgspec.json.encode({"last_by_subj": subject}) for subject in subjects]
        return await self._direct(stream, bodies)

    async def _direct(self, stream: str, bodies: Sequence[bytes]) -> list[Stored | None]:
        asked = [Request(f"{_API}DIRECT.GET.{stream}", body) for body in bodies]
        if not asked:
            return []
        try:
            answers = await self.link.ask_all(asked, _SOON_S)
        except Silent:  # as the server is about a stream that is not there
            if await self.stream(stream) is None:
                raise ApiError(NO_STREAM, f"stream {stream} is not there") from None
            answers = await self.link.ask_all(asked)
        return [_stored(answer) for answer in answers]


def read(answer: Answer, what: str) -> dict[str, Any]:
    """An answer's JSON. Raises ApiError for what was refused, and where nobody answers."""
    if answer.head:
        raise ApiError(status_in(answer.head)[0], f"{what}: {status_in(answer.head)[1] or 'nobody answers'}")
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    if error := found.get("error"):
        number = error.get("err_code", error.get("code", 0))
        raise ApiError(number, f"{what}: {error.get('description', 'refused')} ({number})")
    return found


def is_absent(error: ApiError) -> bool:
    """Whether it says that a stream or its consumer is not there."""
    return error.number in _ABSENT


def _stored(answer: Answer) -> Stored | None:
    """What a direct get brought (ADR-31 of nats-architecture-and-design); a status instead where there is none."""
    if status_in(answer.head)[0] in (404, 408):
        return None
    if status_in(answer.head)[0]:
        raise ApiError(status_in(answer.head)[0], f"direct get: {status_in(answer.head)[1] or 'nobody answers'}")
    headers = headers_in(answer.head)
    stored_ns = nanoseconds(headers.pop("nats-time-stamp"))
    sequence = int(headers.pop("nats-sequence"))
    for name in ("nats-stream", "nats-subject", "nats-last-sequence", "nats-num-pending"):
        headers.pop(name, None)
    return Stored(sequence, stored_ns, headers, answer.body)


def nanoseconds(text: str) -> int:
    """Unix nanoseconds of an RFC 3339 time, of which datetime reads six digits only."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
