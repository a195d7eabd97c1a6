"""The way in: a request's messages are put into a queue in one commit, and answered 202 once they are durable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from millrace.broker import Broker, dead_letters
from millrace.clock import Clock
from millrace.ids import new_id
from millrace.sources.http import envelopes, problems, results
from millrace.sources.http.attributes import check, joined
from millrace.sources.http.bodies import Bodies, Body
from millrace.sources.http.items import Item, Items, read_items
from millrace.sources.http.preferences import keyed_id, preferred_wait_s
from millrace.sources.http.presence import while_connected
from millrace.sources.http.replies import Reply, encode, json_reply
from millrace.sources.http.requests import Request
from millrace.sources.http.waiting import Waiting, finished
from millrace.telemetry import Telemetry
from millrace.types import Accepted, Message, Put, Record


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The 202 for one message."""

    id: str
    queue: str
    duplicate: bool = False


class Receipts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The 202 for several messages, in their order."""

    ids: list[str]
    queue: str
    duplicates: int = 0


class Intake:
    """Puts requests' messages into queues of one broker."""

    def __init__(
        self,
        broker: Broker,
        waiting: Waiting,
        bodies: Bodies,
        telemetry: Telemetry,
        draining: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._telemetry = telemetry
        self._broker = broker
        self._waiting = waiting
        self._bodies = bodies
        self._draining = draining
        self._clock = clock

    async def accept(self, request: Request, queue: str) -> Reply:
        """Read, put, and answer for a function's path."""
        with self._open(request) as body:
            items = await read_items(request, body, self._bodies.settings)
            accepted = await self._put(request, queue, items)
        return await self._answer(request, queue, items, accepted)

    async def accept_whole(self, request: Request, queue: str) -> Reply:
        """Read, put, and answer for a queue's own path, where ids, groups, delays and TTLs may be given."""
        with self._open(request) as body:
            if (request.header(b"content-type") or "").partition(";")[0].strip().lower() == envelopes.MEDIA:
                items = envelopes.read_envelopes(await body.read(), self._bodies.settings)
            else:
                items = await read_items(request, body, self._bodies.settings)
                if not items.several:
                    items = Items([envelopes.described(items.items[0], request)])
            accepted = await self._put(request, queue, items)
        return await self._answer(request, queue, items, accepted)

    def _open(self, request: Request) -> Body:
        if self._draining():
            raise problems.draining()
        return self._bodies.open(request)

    async def _put(self, request: Request, queue: str, items: Items) -> list[Accepted]:
        query, path = self._given(request)
        key = keyed_id(request, queue)
        now = self._clock.now()
        many = items.several
        puts = [
            _put(queue, item, {**query, **item.attributes, **path}, f"{key}.{index}" if key and many else key, now)
            for index, item in enumerate(items.items)
        ]
        accepted = await self._broker.put(puts)
        self._telemetry.accepted(queue, sum(not one.duplicate for one in accepted))
        return accepted

    def _given(self, request: Request) -> tuple[dict[str, str], dict[str, str]]:
        query, path = joined(request.query), request.path_parameters
        if query or path:
            check({**query, **path}, self._bodies.settings)
        return query, path

    async def _answer(self, request: Request, queue: str, items: Items, accepted: Sequence[Accepted]) -> Reply:
        wait_s = preferred_wait_s(request, self._bodies.settings.max_wait_s)
        if wait_s > 0:
            records = await while_connected(request, self._waiting.all([one.id for one in accepted], wait_s))
            complete = [record for record in records if record is not None and finished(record)]
            if len(complete) == len(accepted):
                return await self._waited(complete, items.several, wait_s)
        return _several(queue, accepted) if items.several else _single(queue, accepted[0])

    async def _waited(self, records: list[Record], several: bool, wait_s: float) -> Reply:
        applied = ((b"preference-applied", b"wait=%g" % wait_s),)
        if several:
            return json_reply({"results": [results.document(record) for record in records]}, headers=applied)
        (record,) = records
        if record.state == "dead":
            raise results.failed(record, hopeless=await self._is_hopeless(record))
        return json_reply(results.document(record), headers=applied)

    async def _is_hopeless(self, record: Record) -> bool:
        """Whether the code or dead_on said at once that this input will never work: then it is the client's fault."""
        if record.failure is not None and record.failure.retry is False:
            return True
        if not self._broker.capabilities.browsable:
            return False
        buried = await self._broker.peek(dead_letters(record.queue), 1, ids=[record.id])
        return any(peeked.death is not None and peeked.death.reason == "dead" for peeked in buried)


def _put(queue: str, item: Item, attributes: dict[str, str], key: str | None, now: float) -> Put:
    given = item.id or key
    message = Message(given or new_id(), item.body, attributes, now, item.group)
    return Put(queue, message, item.delay_s, item.ttl_s, fresh=not given)


def _single(queue: str, accepted: Accepted) -> Reply:
    headers = ((b"location", results.location(accepted.id).encode()),)
    return Reply(202, encode(Receipt(accepted.id, queue, accepted.duplicate)), headers=headers)


def _several(queue: str, accepted: Sequence[Accepted]) -> Reply:
    duplicates = sum(one.duplicate for one in accepted)
    return json_reply(Receipts([one.id for one in accepted], queue, duplicates), status=202)


class ModelEndpoint:
    """A model's path: its messages go into the model's queue."""

    def __init__(self, intake: Intake, queue: str) -> None:
        self._intake = intake
        self._queue = queue

    def __call__(self, request: Request) -> Awaitable[Reply]:
        return self._intake.accept(request, self._queue)


class QueueEndpoint:
    """POST /queues/{name}: messages into any declared queue."""

    def __init__(self, intake: Intake, queues: Sequence[str]) -> None:
        self._intake = intake
        self._queues = frozenset(queues)

    async def __call__(self, request: Request) -> Reply:
        # The parameter names the queue; it is no attribute of the message.
        name = request.path_parameters.pop("name")
        if name not in self._queues:
            raise problems.no_queue(name, sorted(self._queues))
        return await self._intake.accept_whole(request, name)
