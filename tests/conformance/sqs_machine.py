"""The state machine of the broker's suite, spoken in SQS: the same model, and only what boto3 can ask and see.

SQS gives ids of its own, so a message is known by its body. There is no release and no retry, a move task takes all
dead letters home and a purge takes all messages, those in flight too.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from boto_parts import REGION, client_of
from botocore.exceptions import ClientError
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from millrace.aws.endpoint.app import Endpoint
from millrace.aws.endpoint.guard import Guard
from millrace.aws.sqs import SqsService
from millrace.broker import Peeked, Stats
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.stores.sqlite import SqliteTables
from millrace.testing import ManualClock
from millrace.testing.bench import BrokerBench
from millrace.testing.machine import BrokerMachine, Known, group_of
from millrace.types import Lease, Message

T = TypeVar("T")
ACCOUNT = "123456789012"
_UNIT_S = 10.0
_LEASE_UNITS = 10
_MAX_RECEIVES = 2
_WINDOW_UNITS = 30  # of deduplication: five minutes
_PURGE_UNITS = 6  # between two purges: a minute


class Sqs:
    """An SDK's client, the queues by name, and what the suite needs of a broker, asked through that client."""

    capabilities = SqliteBroker.capabilities  # of what answers

    def __init__(self, folder: Path, *, fifo: bool) -> None:
        self.clock = ManualClock()
        self._loop = asyncio.new_event_loop()
        self._database = Database.open(folder / "sqs.db", clock=self.clock)
        self._tables = SqliteTables(self._database)
        self._beneath = SqliteBroker(self._database, [self._tables])
        self._suffix = ".fifo" if fifo else ""
        self.urls: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        """A service and a front as a new process would have them."""
        run = self._loop.run_until_complete
        table = run(self._tables.open("sqs", "name"))
        self._service = SqsService(self._beneath, table, account=ACCOUNT, region=REGION, clock=self.clock)
        run(self._service.start([]))
        guard = Guard(None, self.clock)
        front = Endpoint({"sqs": self._service}, None, guard=guard, account=ACCOUNT, region=REGION, health={})
        self.client = client_of(front, self._loop)

    def close(self) -> None:
        """Let go of everything."""
        self._loop.run_until_complete(self._service.close())
        self._loop.run_until_complete(self._database.close())
        self._loop.close()

    def make(self, name: str, **attributes: Any) -> None:
        """A queue by its short name."""
        if self._suffix:
            attributes["FifoQueue"] = "true"
        texts = {key: str(value) for key, value in attributes.items()}
        self.urls[name] = self.client.create_queue(QueueName=name + self._suffix, Attributes=texts)["QueueUrl"]

    def arn(self, name: str) -> str:
        """A queue's ARN, from its short name."""
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}{self._suffix}"

    def code(self, action: str, **members: Any) -> str:
        """Do something to the queue; the error's code, empty where there is none."""
        try:
            getattr(self.client, action)(QueueUrl=self.urls["q"], **members)
        except ClientError as error:
            return str(error.response["Error"]["Code"]).removeprefix("AWS.SimpleQueueService.")
        return ""

    async def take(self, queue: str, limit: int, *, lease_s: float | None = None) -> list[Lease]:
        """ReceiveMessage; the receipt of a lease is its handle, and its message is known by the body."""
        members = {} if lease_s is None else {"VisibilityTimeout": int(lease_s)}
        received = self.client.receive_message(
            QueueUrl=self.urls[queue], MaxNumberOfMessages=limit, MessageSystemAttributeNames=["All"], **members
        )
        return [self._lease(queue, each) for each in received.get("Messages", [])]

    def _lease(self, queue: str, received: dict[str, Any]) -> Lease:
        body, system = received["Body"], received["Attributes"]
        attempt = int(system["ApproximateReceiveCount"])
        message = Message(body, body.encode(), system, group=system.get("MessageGroupId", ""))
        return Lease(queue, message, received["ReceiptHandle"], attempt, 0.0)

    async def stats(self, queue: str) -> Stats:
        """GetQueueAttributes."""
        asked = self.client.get_queue_attributes(QueueUrl=self.urls[queue], AttributeNames=["All"])["Attributes"]
        names = ("", "NotVisible", "Delayed")
        depth, in_flight, delayed = (int(asked[f"ApproximateNumberOfMessages{name}"]) for name in names)
        return Stats(queue, depth, in_flight, delayed, 0, 0.0)

    async def drop(self, queues: Sequence[str]) -> None:
        """DeleteQueue."""
        for queue in queues:
            self.client.delete_queue(QueueUrl=self.urls.pop(queue))

    async def peek(self, queue: str, limit: int) -> list[Peeked]:
        """Which messages are there, in order: the one thing that no client of SQS can see, from beneath."""
        found = self._loop.run_until_complete(self._beneath.peek(queue + self._suffix, limit))
        return [Peeked(Message(each.message.body.decode()), each.state, each.attempts) for each in found]


class SqsMachine(BrokerMachine):
    """Overrides the rules whose verbs SQS has otherwise; `take`, `wait` and the counts are the suite's own."""

    def __init__(self) -> None:
        super().__init__()
        self.sqs: Any = self.bench.broker
        self.windows: dict[str, tuple[str, str | None, float]] = {}  # dedupe key -> its first answer, until when
        self.purged_at = -1e9
        self.count = 0

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """What is awaited here never waits: the client runs the loop itself."""
        try:
            doing.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        raise AssertionError("expected nothing to wait")

    @initialize()
    def begin(self) -> None:
        """Dead letters have a queue of their own in SQS."""
        self.redirected = True
        self.sqs.make("letters")
        self.declare()

    def declare(self) -> None:
        policy = json.dumps({"deadLetterTargetArn": self.sqs.arn("letters"), "maxReceiveCount": _MAX_RECEIVES})
        self.sqs.make("q", VisibilityTimeout=int(_LEASE_UNITS * _UNIT_S), RedrivePolicy=policy)

    @rule(keys=st.lists(st.sampled_from(["", "", "k", "l"]), min_size=1, max_size=6))
    def put(self, keys: list[str]) -> None:
        """Every message is new, but for those under a deduplication id of the last five minutes."""
        ids = [f"m{self.count + index}" for index in range(len(keys))]
        self.count += len(keys)
        entries = [self._entry(id, key) for id, key in zip(ids, keys, strict=True)]
        sent = self.sqs.client.send_message_batch(QueueUrl=self.sqs.urls["q"], Entries=entries)["Successful"]
        assert [each["Id"] for each in sent] == ids, f"expected all of {ids} to be sent, got {sent}"
        for key, each in zip(keys, sent, strict=True):
            self._sent(key if self.fifo else "", each)

    def _entry(self, id: str, key: str) -> dict[str, str]:
        entry = {"Id": id, "MessageBody": id}
        if self.fifo:
            entry |= {"MessageGroupId": group_of(id), "MessageDeduplicationId": key or id}
        return entry

    def _sent(self, key: str, answer: dict[str, str]) -> None:
        id, said = answer["Id"], (answer["MessageId"], answer.get("SequenceNumber"))
        assert bool(said[1]) == self.fifo, f"expected a sequence number only in a FIFO queue, got {answer}"
        known = self.windows.get(key)
        if known is not None and known[2] > self.now:
            assert said == known[:2], f"send {id} as {key}: expected {known[:2]}, got {said}"
            return
        if key:
            self.windows[key] = (*said, self.now + _WINDOW_UNITS)
        self.seq += 1
        self.waiting[id] = Known(self.seq)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """DeleteMessage: the last handle deletes; a FIFO queue says no to others, and to one that is over."""
        lease = data.draw(st.sampled_from(self.leases))
        id, known = lease.message.id, self.waiting.get(lease.message.id)
        ours = self._is_ours(lease) and (not self.fifo or known.is_in_flight(self.now))
        expected = "InvalidParameterValue" if self.fifo and known is not None and not ours else ""
        got = self.sqs.code("delete_message", ReceiptHandle=lease.receipt)
        assert got == expected, f"delete {id}: expected {expected or 'success'}, got {got or 'success'}"
        if ours:
            del self.waiting[id]

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), units=st.sampled_from([0, 1, 20]))
    def extend(self, data: st.DataObject, units: int) -> None:
        """ChangeMessageVisibility: only of what is in flight, and only with the last handle."""
        lease = data.draw(st.sampled_from(self.leases))
        known = self.waiting.get(lease.message.id)
        ours = self._is_ours(lease)
        running = known is not None and known.is_in_flight(self.now)
        expected = "" if ours and running else "MessageNotInflight" if ours else "InvalidParameterValue"
        members = {"ReceiptHandle": lease.receipt, "VisibilityTimeout": int(units * _UNIT_S)}
        got = self.sqs.code("change_message_visibility", **members)
        assert got == expected, f"hide {lease.message.id}: expected {expected or 'success'}, got {got or 'success'}"
        if not expected:
            known.due = self.now + units

    def _is_ours(self, lease: Lease) -> bool:
        known = self.waiting.get(lease.message.id)
        return known is not None and known.lease is not None and known.lease.receipt == lease.receipt

    @rule()
    def redrive(self) -> None:
        """StartMessageMoveTask: all letters go home, each to its old place and with fresh receives."""
        arn = self.sqs.arn("letters")
        self.sqs.client.start_message_move_task(SourceArn=arn)
        while (task := self.sqs.client.list_message_move_tasks(SourceArn=arn)["Results"][0])["Status"] == "RUNNING":
            pass
        moved = task["ApproximateNumberOfMessagesMoved"]
        assert (task["Status"], moved) == ("COMPLETED", len(self.letters)), f"expected all to be moved, got {task}"
        for id in [each.message.id for each in self.run(self.sqs.peek("q", 1000)) if each.message.id in self.letters]:
            self.letters.discard(id)
            self.waiting[id] = Known(self._seq_of(id))
        assert not self.letters, f"expected all letters at home, miss {self.letters}"

    def _seq_of(self, id: str) -> int:
        """Those that came home before it are known; those after it are not yet."""
        known = {*self.waiting, id}
        order = [each.message.id for each in self.run(self.sqs.peek("q", 1000)) if each.message.id in known]
        for seq, each in enumerate(order):
            if each != id:
                self.waiting[each].seq = seq
        self.seq = len(order)
        return order.index(id)

    @rule(anyway=st.sampled_from([False] * 3 + [True]))
    def purge(self, anyway: bool) -> None:
        """PurgeQueue: everything goes, what is in flight too, but only once a minute."""
        if not anyway:  # seldom, or nothing would grow old
            return
        allowed = self.now - self.purged_at >= _PURGE_UNITS
        got = self.sqs.code("purge_queue")
        assert got == ("" if allowed else "PurgeQueueInProgress"), f"purge: expected it to be allowed={allowed}: {got}"
        if allowed:
            self.purged_at = self.now
            self.waiting.clear()

    @rule()
    def read_a_letter(self) -> None:
        """A letter says where it died, and is received as if for the first time."""
        leases = self.run(self.sqs.take("letters", 1))
        assert len(leases) == min(1, len(self.letters)), f"expected one of {sorted(self.letters)}, got {leases}"
        for lease in leases:
            system = lease.message.attributes
            assert (lease.message.id in self.letters, lease.attempt) == (True, 1), f"expected a first one: {lease}"
            assert system["DeadLetterQueueSourceArn"] == self.sqs.arn("q"), f"expected where it died, got {system}"
            self.sqs.client.delete_message(QueueUrl=self.sqs.urls["letters"], ReceiptHandle=lease.receipt)
            self.letters.discard(lease.message.id)

    @rule(anyway=st.sampled_from([False] * 4 + [True]))
    def drop(self, anyway: bool) -> None:
        """DeleteQueue and CreateQueue: it knows nothing; the letters stay."""
        super().drop(anyway)
        if anyway:
            self.windows.clear()
            self.purged_at = -1e9

    @rule()
    def restart(self) -> None:
        """Another process finds all as it was; only the minute between two purges begins anew."""
        self.sqs.restart()
        self.purged_at = -1e9

    @invariant()
    def letters_agree(self) -> None:
        """The other queue counts its letters."""
        if "letters" in self.sqs.urls:
            assert self.run(self.sqs.stats("letters")).depth == len(self.letters), f"expected {self.letters}"


def sqs_machine(*, fifo: bool) -> type[SqsMachine]:
    """A state machine over boto3 and the embedded queue."""

    @asynccontextmanager
    async def fresh() -> AsyncIterator[BrokerBench]:
        with tempfile.TemporaryDirectory() as folder:
            sqs = Sqs(Path(folder), fifo=fifo)

            async def advance(seconds: float) -> None:
                sqs.clock.advance(seconds)

            yield BrokerBench(sqs, advance, _UNIT_S)  # type: ignore[arg-type]
            sqs.close()

    return type("Machine", (SqsMachine,), {"fresh": staticmethod(fresh), "fifo": fifo})
