"""Notes under a connection that is lost, and under others who write."""

from __future__ import annotations

import msgspec
import pytest

from millrace.broker import Queue
from millrace.brokers.nats.api import Api, ApiError
from millrace.brokers.nats.asked import Answer, Request, Silent
from millrace.brokers.nats.fence import Fence
from millrace.brokers.nats.names import Place
from millrace.brokers.nats.notes import Note, Noted, Notes
from millrace.brokers.nats.queue import Held, NatsQueue
from millrace.errors import BrokerError
from millrace.testing import ManualClock

CHANGED = b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}'
MINE = Note(7, 2)


class Played:
    """A link whose server says what it is told to."""

    def __init__(self, there: Note | None, *, repeated: bool, said: bytes = CHANGED) -> None:
        self.there = there
        self.repeated = repeated
        self.said = said

    async def ask_all(self, requests: list[Request], patience_s: float | None = None) -> list[Answer]:
        return [self._answer(each) for each in requests]

    async def ask(self, subject: str, body: bytes = b"", head: bytes = b"") -> Answer:
        return (await self.ask_all([Request(subject, body, head)]))[0]

    def _answer(self, request: Request) -> Answer:
        if "DIRECT.GET" not in request.subject:
            return Answer(b"", self.said, self.repeated)
        if self.there is None:
            return Answer(b"NATS/1.0 404 Message Not Found\r\n\r\n", b"")
        head = b"NATS/1.0\r\nNats-Sequence: 5\r\nNats-Time-Stamp: 1970-01-01T00:00:01Z\r\n\r\n"
        return Answer(head, msgspec.json.encode(self.there))


def notes_over(link: Played) -> Notes:
    return Notes(Api(link), "", 1)


async def test_what_we_wrote_twice_is_ours() -> None:
    written = await notes_over(Played(MINE, repeated=True)).write("s", [(1, Noted(0, MINE))])
    assert written == [Noted(5, MINE)]


@pytest.mark.parametrize(("there", "repeated"), [(Note(7, 3), True), (None, True), (MINE, False)])
async def test_what_somebody_else_wrote_is_not(there: Note | None, repeated: bool) -> None:
    assert await notes_over(Played(there, repeated=repeated)).write("s", [(1, Noted(0, MINE))]) == [None]


async def test_a_note_on_another_message_at_that_place_says_nothing() -> None:
    (found,) = await notes_over(Played(Note(8, 4), repeated=False)).read("s", [(1, 7)])
    assert found == Noted(5, Note(7, 0))


async def test_what_the_server_refuses_is_raised() -> None:
    full = b'{"error":{"code":400,"err_code":10077,"description":"maximum messages exceeded"}}'
    with pytest.raises(ApiError, match="10077"):
        await notes_over(Played(None, repeated=False, said=full)).write("s", [(1, Noted(0, MINE))])


async def test_notes_that_keep_changing_are_given_up() -> None:
    link = Played(Note(7, 2), repeated=False)
    fence = Fence(Api(link), notes_over(link), ManualClock())
    with pytest.raises(BrokerError, match="keep changing"):
        await fence.change(NatsQueue(Queue("work"), ""), [Held(Place(1, 2, 2, 7), b"", 0.0, 0.0)], lambda _, note: note)


class Cutting(Played):
    """A link that was cut before it heard the first answer; remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(None, repeated=True)
        self.told: list[bytes] = []

    async def up(self) -> None:
        """It is there again at once."""

    async def send(self, commands: list[bytes]) -> None:
        self.told += commands

    async def ask(self, subject: str, body: bytes = b"", head: bytes = b"") -> Answer:
        repeated, self.repeated = self.repeated, False
        return Answer(b"NATS/1.0\r\n\r\n", b"", repeated)


async def test_answers_that_a_lost_connection_may_have_swallowed_are_said_again() -> None:
    link = Cutting()
    held = [Held(Place(number, 1, 1, 1), b"ack", 0.0, 0.0) for number in (1, 2)]
    fence = Fence(Api(link), notes_over(link), ManualClock())
    await fence.answer(NatsQueue(Queue("work"), ""), [(each, b"+ACK") for each in held])
    assert link.told == [b"PUB ack 4\r\n+ACK\r\n"] * 2, "the last alone was confirmed, and not that it came behind"


async def test_a_stream_that_cannot_be_asked_for_is_no_missing_stream() -> None:
    link = Played(None, repeated=False, said=b'{"error":{"code":503,"err_code":10008,"description":"no quorum"}}')
    with pytest.raises(ApiError, match="no quorum"):
        await Api(link).stream("s")


async def test_a_direct_get_that_is_refused_is_raised() -> None:
    link = Played(None, repeated=False)
    link._answer = lambda request: Answer(b"NATS/1.0 503\r\n\r\n", b"")
    with pytest.raises(ApiError, match="nobody answers"):
        await Api(link).at("s", [1])


async def test_a_slow_stream_is_asked_again() -> None:
    """A server says nothing about a stream that is not there; this one is."""
    link = Played(MINE, repeated=False, said=b'{"config":{}}')
    patient = link.ask_all

    async def slow(requests: list[Request], patience_s: float | None = None) -> list[Answer]:
        if patience_s is not None:
            raise Silent("no answer")
        return await patient(requests)

    link.ask_all = slow
    (stored,) = await Api(link).at("s", [5])
    assert stored is not None
    assert stored.sequence == 5
