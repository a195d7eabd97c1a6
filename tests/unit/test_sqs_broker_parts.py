"""The parts of the adapter to SQS that need no server: names, letters, mailboxes, batches, refusals."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import needs_module

needs_module("aiohttp", "botocore")

from botocore.credentials import RefreshableCredentials  # noqa: E402
from botocore.exceptions import CredentialRetrievalError  # noqa: E402

from millrace.broker import Queue, handle_of  # noqa: E402
from millrace.brokers.envelope import Envelope  # noqa: E402
from millrace.brokers.sqs import open_broker  # noqa: E402
from millrace.brokers.sqs.access import Access, open_access  # noqa: E402
from millrace.brokers.sqs.broker import SqsBroker  # noqa: E402
from millrace.brokers.sqs.client import SENT_AT, Client  # noqa: E402
from millrace.brokers.sqs.fault import Fault, entry_fault, fault_of  # noqa: E402
from millrace.brokers.sqs.fifo import fifo_members  # noqa: E402
from millrace.brokers.sqs.leases import Leases, first_failed_at  # noqa: E402
from millrace.brokers.sqs.letters import OURS, entry_of, letter_of, received_of  # noqa: E402
from millrace.brokers.sqs.mailbox import Mailbox, Parked  # noqa: E402
from millrace.brokers.sqs.names import candidates, name_of, sqs_name  # noqa: E402
from millrace.brokers.sqs.queue import MAX_BYTES, SqsQueue  # noqa: E402
from millrace.errors import BrokerError, TooLarge, UnknownQueue  # noqa: E402
from millrace.known_brokers import SQS  # noqa: E402
from millrace.testing import ManualClock  # noqa: E402
from millrace.types import Commit, Death, Failure, Message, Outcome, Put  # noqa: E402

Json = dict[str, Any]


# ---- names


@given(st.text(min_size=1, max_size=12), st.booleans())
def test_every_name_can_be_read_back(name: str, fifo: bool) -> None:
    name = name.replace(".fifo", "")
    if not name:
        return
    with suppress(BrokerError):  # of one that is too long
        found = sqs_name(name, fifo=fifo)
        assert name_of(found).removesuffix(".fifo") == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("images", "images"),
        ("my_queue-2", "my_queue-2"),
        ("images.dead", "images__dead"),
        ("a__b", "a_x5F__x5F_b"),
        ("a_.b", "a_x5F___b"),
        ("a/b", "a_x2F_b"),
    ],
)
def test_a_name_that_sqs_has_is_itself(name: str, expected: str) -> None:
    assert sqs_name(name, fifo=False) == expected


def test_fifo_names() -> None:
    assert sqs_name("orders", fifo=True) == sqs_name("orders.fifo", fifo=True) == "orders.fifo"
    assert candidates("orders") == ["orders", "orders.fifo"]
    assert candidates("orders.fifo") == ["orders.fifo"]
    with pytest.raises(BrokerError, match="only a FIFO queue"):
        sqs_name("orders.fifo", fifo=False)
    with pytest.raises(BrokerError, match="81 characters"):
        sqs_name("x" * 81, fifo=False)


# ---- letters


def answered(entry: Json, **system: str) -> Json:
    """A sent message as ReceiveMessage gives it."""
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "5000"} | system
    return {
        "MessageId": "sqs-1",
        "ReceiptHandle": "h",
        "Body": entry["MessageBody"],
        "MessageAttributes": entry.get("MessageAttributes"),
        "Attributes": attributes,
    }


_NAMES = st.one_of(st.sampled_from([OURS, "millrace-encoding", "content-type"]), st.text(min_size=1, max_size=9))


@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), st.dictionaries(_NAMES, st.text(max_size=9)))
def test_what_goes_in_comes_out(body: bytes, attributes: dict[str, str]) -> None:
    envelope = Envelope(Message("m 1", body, attributes, 1.5, "grüße"), 3, 2.0, 1.0, 9.0)
    entry, size = entry_of(envelope)
    assert len(entry["MessageAttributes"]) <= 10
    assert size >= len(entry["MessageBody"].encode())
    assert received_of(answered(entry)).envelope == envelope


def test_plain_attributes_are_for_everybody_to_see() -> None:
    many = {f"k{number}": "v" for number in range(12)}
    entry, _ = entry_of(Envelope(Message("a", b"text", many)))
    names = set(entry["MessageAttributes"])
    assert entry["MessageBody"] == "text"
    assert len(names) == 9
    assert OURS in names


def test_a_message_of_somebody_else() -> None:
    entry = {
        "MessageBody": "hello",
        "MessageAttributes": {
            "n": {"DataType": "Number", "StringValue": "17"},
            "b": {"DataType": "Binary", "BinaryValue": "AAE="},
            OURS: {"DataType": "String", "StringValue": "not ours"},
            "millrace-encoding": {"DataType": "String", "StringValue": "base64"},
        },
    }
    found = received_of(answered(entry, MessageGroupId="g", SequenceNumber="18849496460467696128"))
    expected = {"n": "17", "b": "AAE=", OURS: "not ours"}
    assert found.envelope.message == Message("sqs-1", b"hello", expected, 5.0, "")
    assert found.sequence == 0


def test_the_group_of_a_message_of_somebody_else() -> None:
    found = received_of(answered({"MessageBody": "x"}, MessageGroupId="g", SequenceNumber="00000000000000000017"))
    assert (found.envelope.message.group, found.sequence) == ("g", 17)


@pytest.mark.parametrize("value", ["", "x", "nan", "-1", "inf"])
def test_strange_numbers_count_as_none(value: str) -> None:
    assert received_of(answered({"MessageBody": "x"}, ApproximateReceiveCount=value)).attempts == 1


def test_a_death_that_does_not_fit_is_told_in_few_words() -> None:
    envelope = Envelope(Message("a", b"x" * (MAX_BYTES - 9000)))
    death = Death("failed", Failure("E", "m" * 9000, "t" * 9000), "q", 1, 1.0, 2.0)
    found = received_of(answered(letter_of(envelope, death, MAX_BYTES))).envelope
    assert found.death is not None
    assert (found.death.reason, len(found.death.failure.message)) == ("failed", 500)


def test_groups_and_dedupe_ids_are_what_sqs_takes() -> None:
    queue = SqsQueue(Queue("q", fifo=True), "u", True, MAX_BYTES)
    plain = fifo_members(queue, Message("a", group="g"), "k")
    odd = fifo_members(queue, Message("a", group="ü ö"), "k" * 200)
    assert plain == {"MessageGroupId": "g", "MessageDeduplicationId": "k"}
    assert all(len(each) <= 128 and each.isascii() for each in odd.values())
    assert fifo_members(queue, Message("a"), "k")["MessageGroupId"] == "millrace"


# ---- mailboxes


def parked(body: str, asked_at: float, came_at: float) -> Parked:
    """A message that a poll brought, leased for 30 s."""
    return Parked(received_of(answered({"MessageBody": body})), 30, asked_at, came_at)


async def test_a_message_that_came_for_nobody_lies_ready() -> None:
    clock = ManualClock()
    gate: asyncio.Event = asyncio.Event()

    async def poll(wait_s: int, limit: int) -> tuple[list[Parked], float]:
        sent_at = clock.monotonic()
        await gate.wait()
        return [parked("x", sent_at, clock.monotonic())], sent_at

    mailbox = Mailbox(poll, clock)
    waiting = asyncio.create_task(mailbox.wait(5.0))
    await clock.until_sleeping()
    clock.advance(5.0)
    await waiting
    assert len(mailbox) == 0
    gate.set()
    await mailbox.wait(1.0)
    assert len(mailbox) == 1
    clock.advance(30.0)
    assert len(mailbox) == 0, "its lease is over"
    assert await mailbox.close() == []


async def test_an_answer_that_lay_around_is_not_believed() -> None:
    clock = ManualClock()
    asked: list[int] = []

    async def poll(wait_s: int, limit: int) -> tuple[list[Parked], float]:
        sent_at = clock.monotonic()
        asked.append(wait_s)
        if len(asked) == 1:
            clock.advance(wait_s + 6.0)  # the process stood still
        return [parked("old" if len(asked) == 1 else "new", sent_at, clock.monotonic())], sent_at

    mailbox = Mailbox(poll, clock)
    await mailbox.wait(100.0)
    assert [each.received.envelope.message.body for each in mailbox.take(5)] == [b"new"]


async def test_who_waits_is_told_what_the_poll_was_refused_with() -> None:
    async def poll(wait_s: int, limit: int) -> tuple[list[Parked], float]:
        raise UnknownQueue("no queue")

    with pytest.raises(UnknownQueue):
        await Mailbox(poll, ManualClock()).wait(10.0)


# ---- a broker over a client that answers as it is told


class Canned:
    """A client: `say` gives the answer to an action, or raises."""

    def __init__(self, say: Callable[[str, Json], Json], clock: ManualClock | None = None) -> None:
        self._clock = clock or ManualClock()
        self.asked: list[tuple[str, Json]] = []
        self._say = say

    async def call(self, action: str, members: Json, *, wait_s: float = 0.0, patience_s: float = 0.0) -> Json:
        self.asked.append((action, dict(members)))
        return {SENT_AT: self._clock.monotonic()} | self._say(action, members)

    async def close(self) -> None:
        pass

    def entries(self, action: str) -> list[Json]:
        """All entries of an action's requests."""
        return [entry for name, members in self.asked if name == action for entry in members["Entries"]]


def served(action: str, members: Json) -> Json:
    """What an SQS without trouble says; its queues are there and empty."""
    match action:
        case "GetQueueUrl":
            return {"QueueUrl": f"http://sqs/1/{members['QueueName']}"}
        case "GetQueueAttributes":
            return {"Attributes": {"MaximumMessageSize": str(MAX_BYTES), "ApproximateNumberOfMessages": "0"}}
    return {"Successful": [{"Id": each["Id"]} for each in members.get("Entries", ())]}


def entry_id(entry: Json) -> str:
    """The id of the message in an entry."""
    ours = msgspec.json.decode(entry["MessageAttributes"][OURS]["StringValue"])
    return str(ours["millrace-id"])


def broker_over(say: Callable[[str, Json], Json], clock: ManualClock) -> tuple[SqsBroker, Canned]:
    client = Canned(say, clock)
    return SqsBroker(client, prefix="", account="", clock=clock), client  # type: ignore[arg-type]


def giving(*bodies: str, **system: str) -> Callable[[str, Json], Json]:
    """An SQS whose first receive gives these messages."""
    left = [
        [
            answered({"MessageBody": body}, **system) | {"ReceiptHandle": f"h{body}", "MessageId": f"sqs-{body}"}
            for body in bodies
        ]
    ]

    def say(action: str, members: Json) -> Json:
        if action == "ReceiveMessage":
            return {"Messages": left.pop()} if left else {}
        return served(action, members)

    return say


async def test_an_entry_that_was_throttled_is_sent_again_alone() -> None:
    clock, failing = ManualClock(), {"1"}

    def say(action: str, members: Json) -> Json:
        if action != "SendMessageBatch":
            return served(action, members)
        failed = [each["Id"] for each in members["Entries"] if each["Id"] in failing]
        failing.clear()
        done = [{"Id": each["Id"]} for each in members["Entries"] if each["Id"] not in failed]
        refused = [{"Id": id, "Code": "RequestThrottled", "SenderFault": True} for id in failed]
        return {"Successful": done, "Failed": refused}

    broker, client = broker_over(say, clock)
    putting = asyncio.create_task(broker.put([Put("q", Message(f"m{number}")) for number in range(3)]))
    await clock.until_sleeping()
    clock.advance(1.0)
    assert len(await putting) == 3
    sent = [entry_id(each) for each in client.entries("SendMessageBatch")]
    assert sent == ["m0", "m1", "m2", "m1"]


async def test_an_entry_that_is_refused_refuses_the_put() -> None:
    def say(action: str, members: Json) -> Json:
        if action == "SendMessageBatch":
            return {"Failed": [{"Id": "0", "Code": "KmsDisabled", "Message": "no", "SenderFault": True}]}
        return served(action, members)

    broker, _ = broker_over(say, ManualClock())
    with pytest.raises(BrokerError, match="KmsDisabled"):
        await broker.put([Put("q", Message("a"))])


async def test_a_lease_that_sqs_does_not_know_is_lost_alone() -> None:
    handing = giving("a", "b")

    def say(action: str, members: Json) -> Json:
        if action == "DeleteMessageBatch":
            bad = [each["Id"] for each in members["Entries"] if each["ReceiptHandle"] == "ha"]
            done = [{"Id": each["Id"]} for each in members["Entries"] if each["Id"] not in bad]
            return {
                "Successful": done,
                "Failed": [{"Id": id, "Code": "ReceiptHandleIsInvalid", "SenderFault": True} for id in bad],
            }
        return handing(action, members)

    broker, _ = broker_over(say, ManualClock())
    leases = await broker.take("q", 10)
    lost = await broker.settle(Commit("q", [Outcome(lease, "done") for lease in leases]))
    assert [lease.message.body for lease in lost] == [b"a"]


async def test_a_settle_of_which_nothing_was_done_is_raised_and_may_be_repeated() -> None:
    handing, away = giving("a"), [True]

    def say(action: str, members: Json) -> Json:
        if action == "DeleteMessageBatch" and away:
            away.clear()
            raise BrokerError("no answer")
        return handing(action, members)

    broker, _ = broker_over(say, ManualClock())
    commit = Commit("q", [Outcome(lease, "done") for lease in await broker.take("q", 10)])
    with pytest.raises(BrokerError, match="no answer"):
        await broker.settle(commit)
    assert await broker.settle(commit) == []


def giving_twice(*counts: int) -> Callable[[str, Json], Json]:
    """An SQS that gives one message again and again, each time by another handle, as a standard queue may."""
    left = [
        [answered({"MessageBody": "a"}, ApproximateReceiveCount=str(count)) | {"ReceiptHandle": f"h{number}"}]
        for number, count in enumerate(counts)
    ]

    def say(action: str, members: Json) -> Json:
        if action == "ReceiveMessage":
            return {"Messages": left.pop(0)} if left else {}
        return served(action, members)

    return say


@pytest.mark.parametrize(
    ("counts", "limit", "handles"),
    [
        ((1, 2), 20, ["h1", "h0"]),  # two receives at once
        ((2, 1), 20, ["h0", "h1"]),  # whose answers came in the other order
        ((1, 1), 5, ["h1", "h0"]),  # one after the other
    ],
)
async def test_a_message_that_comes_twice_in_one_take_is_one_lease_that_ends_all_of_its_deliveries(
    counts: tuple[int, ...], limit: int, handles: list[str]
) -> None:
    broker, client = broker_over(giving_twice(*counts), ManualClock())
    (lease,) = await broker.take("q", limit)
    assert lease.attempt == max(counts)
    assert not client.entries("DeleteMessageBatch"), "nothing is deleted before it is done"
    assert await broker.settle(Commit("q", [Outcome(lease, "done")])) == []
    assert [each["ReceiptHandle"] for each in client.entries("DeleteMessageBatch")] == handles


async def test_what_came_before_a_receive_failed_is_the_takers() -> None:
    handing, asked = giving("a"), []

    def say(action: str, members: Json) -> Json:
        asked.extend([action] if action == "ReceiveMessage" else [])
        if len(asked) > 1:
            raise BrokerError("no answer")
        return handing(action, members)

    broker, _ = broker_over(say, ManualClock())
    (lease,) = await broker.take("q", 5)
    assert lease.message.body == b"a"
    with pytest.raises(BrokerError, match="no answer"):
        await broker.take("q", 5)


async def test_the_older_handles_of_a_dead_letter_are_deleted_after_it_was_put() -> None:
    broker, client = broker_over(giving_twice(1, 2), ManualClock())
    (lease,) = await broker.take("q", 20)
    death = Death("dead", Failure("E", "no"), "q", 1, 1.0, 2.0)
    await broker.settle(Commit("q", [Outcome(lease, "dead", death=death)]))
    ended = [name for name, _ in client.asked if name in ("SendMessageBatch", "DeleteMessageBatch")]
    assert ended == ["SendMessageBatch", "DeleteMessageBatch", "DeleteMessageBatch"]


async def test_a_message_that_was_given_back_keeps_its_older_handles_to_itself() -> None:
    broker, client = broker_over(giving_twice(1, 2), ManualClock())
    (lease,) = await broker.take("q", 20)
    await broker.settle(Commit("q", [Outcome(lease, "release")]))
    assert [each["ReceiptHandle"] for each in client.entries("ChangeMessageVisibilityBatch")] == ["h1"]
    assert client.entries("DeleteMessageBatch") == []


async def test_what_a_take_has_buried_is_not_buried_again() -> None:
    broker, client = broker_over(giving_twice(9, 10), ManualClock())
    await broker.declare([Queue("q", max_receives=2)])
    assert await broker.take("q", 5) == []
    assert len(client.entries("SendMessageBatch")) == 1


async def test_a_lease_past_its_time_is_lost_whatever_sqs_would_say() -> None:
    clock = ManualClock()
    broker, client = broker_over(giving("a"), clock)
    (lease,) = await broker.take("q", 10, lease_s=5.0)
    clock.advance(5.0)
    assert await broker.settle(Commit("q", [Outcome(lease, "done")])) == [lease]
    assert await broker.extend([lease], 30.0) == []
    assert not [name for name, _ in client.asked if name.endswith("Batch")]


async def test_another_process_can_end_a_lease_but_not_bury_its_message() -> None:
    clock = ManualClock()
    broker, _ = broker_over(giving("a"), clock)
    (lease,) = await broker.take("q", 10, lease_s=5.0)
    other, client = broker_over(served, clock)
    death = Death("dead", Failure("E", "no"), "q", 1, 1.0, 2.0)
    with pytest.raises(BrokerError, match="another process took it"):
        await other.settle(Commit("q", [Outcome(lease, "dead", death=death)]))
    assert await other.settle(Commit("q", [Outcome(lease, "done")])) == []
    assert client.entries("DeleteMessageBatch") == [{"Id": "0", "ReceiptHandle": "ha"}]
    assert len(handle_of(lease.receipt)) < 4096
    clock.advance(5.0)
    assert await other.standing([lease]) == ["lost"]


async def test_a_lease_is_not_renewed_beyond_the_twelve_hours_of_sqs() -> None:
    clock = ManualClock()
    broker, client = broker_over(giving("a"), clock)
    (lease,) = await broker.take("q", 10, lease_s=43_200.0)
    clock.advance(43_000.0)
    (extended,) = await broker.extend([lease], 1000.0)
    assert client.entries("ChangeMessageVisibilityBatch")[0]["VisibilityTimeout"] == 200
    assert extended.expires_at == lease.expires_at


@pytest.mark.parametrize(
    ("fifo", "delay_s", "first", "hops"),
    [(False, 0.0, 0, None), (False, 2.5, 3, None), (False, 5000.0, 900, "1"), (True, 5.0, None, "1")],
)
async def test_a_delay_beyond_that_of_sqs_is_bridged(
    fifo: bool, delay_s: float, first: int | None, hops: str | None
) -> None:
    clock = ManualClock()
    broker, client = broker_over(served, clock)
    await broker.declare([Queue("q", fifo=fifo)])
    await broker.put([Put("q", Message("a"), delay_s=delay_s)])
    (entry,) = client.entries("SendMessageBatch")
    ours = msgspec.json.decode(entry["MessageAttributes"][OURS]["StringValue"])
    assert (entry.get("DelaySeconds"), ours.get("millrace-hops")) == (first, hops)


async def test_what_is_received_early_is_hidden_until_it_is_due() -> None:
    clock = ManualClock()
    entry, _ = entry_of(Envelope(Message("a")), {"millrace-due-at": repr(clock.now() + 100_000), "millrace-hops": "3"})
    left = [[answered(entry)]]

    def say(action: str, members: Json) -> Json:
        if action == "ReceiveMessage":
            return {"Messages": left.pop()} if left else {}
        return served(action, members)

    broker, client = broker_over(say, clock)
    assert await broker.take("q", 1) == []
    assert client.entries("ChangeMessageVisibilityBatch")[0]["VisibilityTimeout"] == 43_200
    left.append([answered(entry, ApproximateReceiveCount="4")])
    clock.advance(100_000)
    (lease,) = await broker.take("q", 1)
    assert lease.attempt == 1, "deliveries that only bridged the delay are none"


async def test_bodies_beyond_the_limit_are_refused() -> None:
    broker, client = broker_over(served, ManualClock())
    await broker.put([Put("q", Message("a", b"x" * 1_000_000))])
    for body in (b"x" * MAX_BYTES, b"\xff" * (SQS.claims.max_body + 1)):
        with pytest.raises(TooLarge, match="1040384"):
            await broker.put([Put("q", Message("a", body))])
    assert len(client.entries("SendMessageBatch")) == 1


async def test_a_batch_stays_within_the_bytes_of_a_request() -> None:
    broker, client = broker_over(served, ManualClock())
    await broker.put([Put("q", Message(f"m{number}", b"x" * 400_000)) for number in range(5)])
    sizes = [len(members["Entries"]) for name, members in client.asked if name == "SendMessageBatch"]
    assert sorted(sizes) == [1, 2, 2]


async def test_a_redrive_policy_of_others_is_told_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:others-dlq","maxReceiveCount":3}'

    def say(action: str, members: Json) -> Json:
        if action == "GetQueueAttributes":
            return {"Attributes": {"RedrivePolicy": policy, "MessageRetentionPeriod": "3600"}}
        return served(action, members)

    broker, client = broker_over(say, ManualClock())
    await broker.declare([Queue("q", ttl_s=2e6)])
    await broker.peek("q")
    assert caplog.text == "", "expected commands that only look to say nothing"
    for _ in range(2):
        await broker.declare([Queue("q", ttl_s=2e6)])
        await broker.take("q", 1)
    for words in ("others-dlq", "after 3600 s", "its ttl is longer"):
        assert caplog.text.count(words) == 1, f"expected one line to whoever runs the queue, got {caplog.text}"
    assert "SetQueueAttributes" not in [name for name, _ in client.asked]


async def test_an_endpoint_is_missed_once_it_has_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Until then whoever opens the broker says so."""
    script: list[Exception | Json] = []

    class Scripted(Client):
        async def _once(self, action: str, body: bytes, wait_s: float) -> Json:
            if isinstance(answer := script.pop(0), Exception):
                raise answer
            return answer

    clock = ManualClock()
    client = Scripted(Access("http://127.0.0.1:1/", "local", None), clock)

    async def call() -> None:
        calling = asyncio.create_task(client.call("ListQueues", {}))
        while not calling.done():
            clock.advance(10.0)
            await asyncio.sleep(0)
        await calling

    script += [OSError("refused"), {}]
    await call()
    assert caplog.text == ""
    for _ in range(2):
        script += [OSError("refused"), Fault("ServiceUnavailable", "soon", 503), {}]
        await call()
    told = [record.message for record in caplog.records]
    assert ["asked again" in each for each in told] == [True, False] * 2, told
    assert ["answers again" in each for each in told] == [False, True] * 2, told


async def test_an_older_endpoint_gets_smaller_messages() -> None:
    def say(action: str, members: Json) -> Json:
        match action:
            case "GetQueueUrl":
                raise Fault("QueueDoesNotExist", "no", 400)
            case "CreateQueue" if "MaximumMessageSize" in members["Attributes"]:
                raise Fault("InvalidAttributeValue", "Invalid value for the parameter MaximumMessageSize.", 400)
            case "CreateQueue":
                return {"QueueUrl": "http://sqs/1/q"}
            case "GetQueueAttributes":
                return {}
        return served(action, members)

    broker, _ = broker_over(say, ManualClock())
    await broker.declare([Queue("q")])
    with pytest.raises(TooLarge, match="253952"):
        await broker.put([Put("q", Message("a", b"x" * 260_000))])


async def test_a_name_that_was_just_deleted_is_waited_for() -> None:
    clock, tries = ManualClock(), [1, 2]

    def say(action: str, members: Json) -> Json:
        if action == "GetQueueUrl":
            raise Fault("QueueDoesNotExist", "no", 400)
        if action == "CreateQueue" and tries:
            tries.pop()
            raise Fault("QueueDeletedRecently", "wait 60 seconds", 400)
        return {"QueueUrl": "http://sqs/1/q"} if action == "CreateQueue" else served(action, members)

    broker, _ = broker_over(say, clock)
    declaring = asyncio.create_task(broker.declare([Queue("q.dead")]))
    for _ in range(2):
        await clock.until_sleeping()
        clock.advance(5.0)
    await declaring


async def test_a_queue_that_is_gone_is_looked_for_again() -> None:
    gone = [True]

    def say(action: str, members: Json) -> Json:
        if action in ("ReceiveMessage", "ListQueues", "GetQueueUrl") and gone and len(asked) > 3:
            if action == "ListQueues":
                return {"QueueUrls": ["http://sqs/1/queue2"]}
            raise Fault("QueueDoesNotExist", "no", 400)
        asked.append(action)
        return served(action, members)

    asked: list[str] = []
    broker, _ = broker_over(say, ManualClock())
    await broker.declare([Queue("queue1")])
    with pytest.raises(UnknownQueue) as error:
        await broker.take("queue1", 1)
    assert "queue2" in error.value.hint
    gone.clear()
    assert await broker.take("queue1", 1) == []


async def test_who_may_not_list_queues_can_use_them() -> None:
    def say(action: str, members: Json) -> Json:
        if action == "ListQueues":
            raise Fault("AccessDeniedException", "no", 403)
        return served(action, members)

    broker, _ = broker_over(say, ManualClock())
    await broker.declare([Queue("q")])
    assert await broker.queues() == ["q", "q.dead"]


async def test_purging_within_a_minute_deletes_one_by_one() -> None:
    handing = giving("a", "b")

    def say(action: str, members: Json) -> Json:
        if action == "PurgeQueue":
            raise Fault("PurgeQueueInProgress", "once a minute", 403)
        return handing(action, members)

    broker, client = broker_over(say, ManualClock())
    assert await broker.purge("q", in_flight=True) == 2
    assert len(client.entries("DeleteMessageBatch")) == 2


async def test_only_dead_letters_are_chosen_by_id() -> None:
    broker, client = broker_over(giving("a", "b"), ManualClock())
    for doing in (broker.purge("q", ["a"]), broker.move("q", "other", ["a"])):
        with pytest.raises(BrokerError, match="by id"):
            await doing
    assert await broker.purge("q.dead", ["sqs-a", "sqs-b"]) == 2
    assert client.entries("ChangeMessageVisibilityBatch") == []


# ---- refusals and access


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (fault_of(400, {"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "m"}), "IAM policy"),
        (fault_of(403, {"__type": "InvalidClientTokenId", "Message": "m"}), "check the key"),
        (fault_of(400, {"__type": "AWS.SimpleQueueService.UnsupportedOperation"}), "SQS API reference"),
        (fault_of(404, {}), "check the endpoint"),
    ],
)
def test_a_refusal_says_what_to_do(fault: Fault, hint: str) -> None:
    assert not fault.passing
    assert hint in fault.told("delete messages").hint


def test_which_faults_pass() -> None:
    assert fault_of(503, {}).passing
    assert fault_of(403, {"__type": "RequestThrottled"}).passing
    assert entry_fault({"Code": "InternalError", "SenderFault": False}).passing
    assert not entry_fault({"Code": "ReceiptHandleIsInvalid", "SenderFault": True}).passing


async def test_credentials_and_endpoint_come_from_the_url_or_the_usual_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")

    def access(url: str) -> Any:
        return open_access(SQS.address(url, {}))

    with pytest.raises(BrokerError, match="no AWS credentials") as error:
        await access("sqs://eu-west-1")
    assert "AWS_ACCESS_KEY_ID" in error.value.hint
    with pytest.raises(BrokerError, match=r"^broker sqs://: .*region"):
        await access("sqs://key:secret@")
    found = await access("sqs://KEY:s%2Fcret@eu-west-1")
    assert found.endpoint == "https://sqs.eu-west-1.amazonaws.com/"
    headers = await found.headers("ListQueues", b"{}")
    assert "Credential=KEY/" in headers["Authorization"]
    assert "/eu-west-1/sqs/" in headers["Authorization"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = await access("sqs://eu-west-1?endpoint=http://127.0.0.1:8401")
    assert found.endpoint == "http://127.0.0.1:8401/"
    with pytest.raises(BrokerError, match="'many'"):
        await access("sqs://eu-west-1?endpoint=http://127.0.0.1:many")
    assert "Credential=FROMENV/" in (await found.headers("ListQueues", b"{}"))["Authorization"]


def test_never_is_never() -> None:
    assert received_of(answered({"MessageBody": "x"})).envelope.expires_at == math.inf


# ---- the corners


def saying(**answers: Any) -> Callable[[str, Json], Json]:
    """An SQS without trouble but for these actions: an answer, an exception, or a list of either, the last for ever."""

    def say(action: str, members: Json) -> Json:
        told = answers.get(action)
        if isinstance(told, list):
            told = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(told, Exception):
            raise told
        return served(action, members) if told is None else dict(told)

    return say


async def test_who_opens_a_broker_is_told_of_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [Fault("InvalidClientTokenId", "who?", 403), Fault("AccessDenied", "no list", 403)]

    async def call(client: object, action: str, members: Json, **how: float) -> Json:
        raise faults.pop(0)

    monkeypatch.setattr(Client, "call", call)
    url = "sqs://KEY:secret@eu-west-1?endpoint=http://127.0.0.1:9"
    with pytest.raises(BrokerError, match="InvalidClientTokenId"):
        await open_broker(url)
    await (await open_broker(url)).close()


async def test_credentials_of_a_role_are_renewed() -> None:
    def renewed() -> dict[str, str]:
        if not left:
            raise CredentialRetrievalError(provider="role", error_msg="gone")
        return left.pop()

    fresh = {"access_key": "ROLE", "secret_key": "s", "token": "t", "expiry_time": "2000-01-01T00:00:00Z"}
    left = [fresh | {"expiry_time": "2999-01-01T00:00:00Z"}]
    old = RefreshableCredentials.create_from_metadata(fresh, refresh_using=renewed, method="role")
    assert "Credential=ROLE/" in (await Access("http://sqs/", "eu-west-1", old).headers("X", b""))["Authorization"]
    gone = RefreshableCredentials.create_from_metadata(fresh, refresh_using=renewed, method="role")
    with pytest.raises(BrokerError, match="cannot be renewed"):
        await Access("http://sqs/", "eu-west-1", gone).headers("X", b"")


async def test_queues_come_in_pages_and_those_of_other_prefixes_are_not_ours() -> None:
    pages: list[Json] = [
        {"QueueUrls": ["http://sqs/1/team__a", "http://sqs/1/team2"], "NextToken": "more"},
        {"QueueUrls": ["http://sqs/1/team__b__dead"]},
    ]
    client = Canned(saying(ListQueues=pages))
    broker = SqsBroker(client, prefix="team.", account="", clock=ManualClock())  # type: ignore[arg-type]
    assert await broker.queues() == ["a", "b.dead"]
    assert [members.get("NextToken") for _, members in client.asked] == [None, "more"]
    assert client.asked[0][1]["QueueNamePrefix"] == "team"


@pytest.mark.parametrize("action", ["ListQueues", "GetQueueUrl", "CreateQueue"])
async def test_what_is_refused_is_told(action: str) -> None:
    answers: Json = {"GetQueueUrl": Fault("QueueDoesNotExist", "no", 400)}
    broker, _ = broker_over(saying(**answers | {action: Fault("InvalidSecurity", "m", 403)}), ManualClock())
    with pytest.raises(BrokerError, match="InvalidSecurity"):
        await (broker.queues() if action == "ListQueues" else broker.declare([Queue("q")]))


async def test_a_name_that_never_becomes_free() -> None:
    clock, recently = ManualClock(), Fault("QueueDeletedRecently", "wait", 400)
    say = saying(GetQueueUrl=Fault("QueueDoesNotExist", "no", 400), CreateQueue=recently)
    broker, _ = broker_over(say, clock)
    declaring = asyncio.create_task(broker.declare([Queue("q.dead")]))
    while not declaring.done():
        clock.advance(5.0)
        await asyncio.sleep(0)
    with pytest.raises(BrokerError, match="does not free its name"):
        await declaring


async def test_letters_whose_queue_just_went_stay_among_the_dead() -> None:
    handing = giving("a")

    def say(action: str, members: Json) -> Json:
        if action == "SendMessageBatch" and members["QueueUrl"].endswith("/letters"):
            raise Fault("QueueDoesNotExist", "no", 400)
        return handing(action, members)

    broker, client = broker_over(say, ManualClock())
    await broker.declare([Queue("letters"), Queue("q", dead_to="letters")])
    (lease,) = await broker.take("q", 1)
    with pytest.raises(BrokerError, match="without a death"):
        await broker.settle(Commit("q", [Outcome(lease, "dead")]))
    death = Death("dead", Failure("E", "no"), "q", 1, 1.0, 2.0)
    assert await broker.settle(Commit("q", [Outcome(lease, "dead", death=death)])) == []
    sent = [members["QueueUrl"] for name, members in client.asked if name == "SendMessageBatch"]
    assert sent == ["http://sqs/1/letters", "http://sqs/1/q__dead"]


async def test_what_cannot_be_buried_stays_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    handing = giving("a", ApproximateReceiveCount="9")

    def say(action: str, members: Json) -> Json:
        if action == "SendMessageBatch":
            raise BrokerError("no answer")
        return handing(action, members)

    broker, client = broker_over(say, ManualClock())
    await broker.declare([Queue("q", max_receives=2)])
    assert await broker.take("q", 1) == []
    assert "could not be buried for now" in caplog.text
    assert client.entries("DeleteMessageBatch") == []


async def test_an_old_message_of_somebody_else_has_the_queues_time_to_live() -> None:
    clock = ManualClock()
    broker, client = broker_over(giving("a"), clock)
    await broker.declare([Queue("q", ttl_s=60.0)])
    assert await broker.take("q", 1) == []
    (letter,) = client.entries("SendMessageBatch")
    assert "expired" in letter["MessageAttributes"][OURS]["StringValue"]


async def test_a_move_that_is_refused_ends_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    handing = giving("a")

    def say(action: str, members: Json) -> Json:
        if action == "SendMessageBatch":
            return {"Failed": [{"Id": "0", "Code": "KmsDisabled", "SenderFault": True}]}
        return handing(action, members)

    broker, _ = broker_over(say, ManualClock())
    assert await broker.move("q.dead", "q") == 0
    assert "could not be moved" in caplog.text


async def test_looking_ends_when_all_that_was_chosen_is_found() -> None:
    broker, client = broker_over(giving("a", "b"), ManualClock())
    (seen,) = await broker.peek("q.dead", 1)
    assert (seen.message.body, seen.death) == (b"a", None)
    assert len(client.entries("ChangeMessageVisibilityBatch")) == 2, "expected all to be given back"


async def test_what_is_held_is_purged_by_id_only_among_the_dead() -> None:
    broker, client = broker_over(giving("a"), ManualClock())
    (lease,) = await broker.take("q.dead", 1)
    assert await broker.purge("q.dead", ["sqs-a"], in_flight=True) == 1
    assert client.entries("DeleteMessageBatch") == [{"Id": "0", "ReceiptHandle": "ha"}]
    assert await broker.standing([lease]) == ["lost"]


async def test_a_purge_that_is_refused_is_told() -> None:
    broker, _ = broker_over(saying(PurgeQueue=Fault("AccessDenied", "no", 403)), ManualClock())
    with pytest.raises(BrokerError, match="AccessDenied"):
        await broker.purge("q", in_flight=True)


async def test_what_lies_ready_is_given_back_at_the_end() -> None:
    broker, client = broker_over(giving("a"), ManualClock())
    await broker.wait("q", 10.0)
    assert (await broker.stats("q")).depth == 1, "expected it to count as waiting"
    await broker.close()
    assert client.entries("ChangeMessageVisibilityBatch") == [
        {"Id": "0", "ReceiptHandle": "ha", "VisibilityTimeout": 0}
    ]


async def test_leases_that_ran_out_are_forgotten() -> None:
    clock = ManualClock()
    leases = Leases(clock)
    for number in range(3000):
        found = received_of(answered({"MessageBody": "x"}) | {"ReceiptHandle": str(number)})
        leases.grant("q", found, clock.monotonic(), 5, math.inf)
        clock.advance(1.0)
    assert len(leases._held) < 1100


def test_the_first_failure_that_a_message_brings_is_the_first() -> None:
    entry, _ = entry_of(Envelope(Message("a"), 1, first_failed_at=7.0))
    assert first_failed_at(received_of(answered(entry))) == 7.0
