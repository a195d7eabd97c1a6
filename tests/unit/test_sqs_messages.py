"""Sending, receiving, deleting and hiding messages: what SQS promises of each, over both embedded brokers."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqs_parts import ACCOUNT, ORIGIN, Open, Refused, Sqs, memory, sqlite

from millrace.broker import handle_of
from millrace.types import Commit, Lease, Message, Put


@pytest.fixture(params=[memory, sqlite], ids=["memory", "sqlite"])
async def sqs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sqs]:
    opened: Open = request.param
    async with opened(tmp_path) as found:
        yield found


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


# The algorithm of the SQS developer guide, done by hand: each of name, type and value behind its length.
def digest_by_hand(*attributes: tuple[str, str, int, bytes]) -> str:
    parts = []
    for name, kind, transport, value in sorted(attributes):
        parts += [len(name).to_bytes(4, "big"), name.encode(), len(kind).to_bytes(4, "big"), kind.encode()]
        parts += [bytes([transport]), len(value).to_bytes(4, "big"), value]
    return hashlib.md5(b"".join(parts)).hexdigest()


class TestSendAndReceive:
    async def test_field_by_field(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        attributes = {
            "colour": {"DataType": "String", "StringValue": "blåu"},
            "count": {"DataType": "Number.int", "StringValue": "3"},
            "blob": {"DataType": "Binary", "BinaryValue": b64encode(b"\x00\xff").decode()},
        }
        trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988"}}
        sent = await sqs.send(url, "héllo", MessageAttributes=attributes, MessageSystemAttributes=trace)
        expected = digest_by_hand(
            ("colour", "String", 1, "blåu".encode()),
            ("count", "Number.int", 1, b"3"),
            ("blob", "Binary", 2, b"\x00\xff"),
        )
        assert sent == {
            "MessageId": sent["MessageId"],
            "MD5OfMessageBody": md5("héllo"),
            "MD5OfMessageAttributes": expected,
            "MD5OfMessageSystemAttributes": digest_by_hand(("AWSTraceHeader", "String", 1, b"Root=1-5759e988")),
        }
        sqs.clock.advance(2)
        (message,) = await sqs.receive(url, AttributeNames=["All"], MessageAttributeNames=["All"])
        start_ms = 1_700_000_000_000
        assert message == {
            "MessageId": sent["MessageId"],
            "ReceiptHandle": message["ReceiptHandle"],
            "MD5OfBody": md5("héllo"),
            "Body": "héllo",
            "Attributes": {
                "SenderId": ACCOUNT,
                "SentTimestamp": str(start_ms),
                "ApproximateReceiveCount": "1",
                "ApproximateFirstReceiveTimestamp": str(start_ms + 2000),
                "AWSTraceHeader": "Root=1-5759e988",
            },
            "MD5OfMessageAttributes": expected,
            "MessageAttributes": attributes,
        }

    async def test_message_ids_are_uuids(self, sqs: Sqs) -> None:
        sent = await sqs.send(await sqs.queue())
        assert str(uuid.UUID(sent["MessageId"])) == sent["MessageId"]
        assert uuid.UUID(sent["MessageId"]).version == 7

    async def test_nothing_that_was_not_asked_for(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url, MessageAttributes={"a": {"DataType": "String", "StringValue": "x"}})
        (message,) = await sqs.receive(url)
        assert sorted(message) == ["Body", "MD5OfBody", "MessageId", "ReceiptHandle"]

    async def test_an_empty_queue_answers_an_empty_object(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        assert await sqs.ask("ReceiveMessage", QueueUrl=url) == {}

    @pytest.mark.parametrize(
        ("asked", "given"),
        [
            (["All"], ["a.b", "a.c", "ab", "z"]),
            ([".*"], ["a.b", "a.c", "ab", "z"]),
            (["a.*"], ["a.b", "a.c"]),
            (["z", "nothing"], ["z"]),
            (["nothing"], []),
        ],
    )
    async def test_attributes_by_name_and_prefix(self, sqs: Sqs, asked: list[str], given: list[str]) -> None:
        url = await sqs.queue()
        value = {"DataType": "String", "StringValue": "x"}
        await sqs.send(url, MessageAttributes=dict.fromkeys(["a.b", "a.c", "ab", "z"], value))
        (message,) = await sqs.receive(url, MessageAttributeNames=asked)
        assert sorted(message.get("MessageAttributes", {})) == given
        if given:  # the digest is of what is shown, as a client can check it
            shown = digest_by_hand(*[(name, "String", 1, b"x") for name in given])
            assert message["MD5OfMessageAttributes"] == shown

    async def test_an_attribute_cannot_pass_for_one_of_millraces_own(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        forged = {"millrace-dead-from": {"DataType": "String", "StringValue": "elsewhere"}}
        await sqs.send(url, MessageAttributes=forged)
        (message,) = await sqs.receive(url, AttributeNames=["All"], MessageAttributeNames=["All"])
        assert message["MessageAttributes"] == forged
        assert "DeadLetterQueueSourceArn" not in message["Attributes"]

    async def test_a_body_that_is_no_text_comes_as_base64_and_says_so(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        for body in (b"\xff\x00", b"a\x00b"):
            await sqs.broker.put([Put("jobs", Message(f"id-{body!r}", body))])
        for message in await sqs.receive(url, MessageAttributeNames=["All"]):
            assert message["Body"] in (b64encode(b"\xff\x00").decode(), b64encode(b"a\x00b").decode())
            assert message["MessageAttributes"]["millrace-encoding"]["StringValue"] == "base64"
            assert message["MD5OfBody"] == md5(message["Body"])

    async def test_delay_of_message_and_queue(self, sqs: Sqs) -> None:
        url = await sqs.queue(DelaySeconds=10)
        await sqs.send(url, "late")
        await sqs.send(url, "now", DelaySeconds=0)
        assert [each["Body"] for each in await sqs.receive(url)] == ["now"]
        sqs.clock.advance(11)
        assert [each["Body"] for each in await sqs.receive(url)] == ["late"]

    async def test_a_fair_queue_keeps_the_group(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url, MessageGroupId="tenant-1")
        (message,) = await sqs.receive(url, MessageSystemAttributeNames=["MessageGroupId"])
        assert message["Attributes"] == {"MessageGroupId": "tenant-1"}

    async def test_longest_body_and_one_more(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url, "x" * 1_048_576)
        with pytest.raises(Refused) as refused:
            await sqs.send(url, "x" * 1_048_577)
        assert refused.value.code == "InvalidParameterValue"
        assert len((await sqs.receive(url))[0]["Body"]) == 1_048_576

    async def test_attributes_count_for_the_size(self, sqs: Sqs) -> None:
        url = await sqs.queue(MaximumMessageSize=1024)
        one = {"n": {"DataType": "String", "StringValue": "v"}}
        await sqs.send(url, "x" * (1024 - len("nStringv")), MessageAttributes=one)
        with pytest.raises(Refused, match="1024 bytes"):
            await sqs.send(url, "x" * (1025 - len("nStringv")), MessageAttributes=one)

    @pytest.mark.parametrize("body", ["\x00", "a\x0bb", "\x1f", "\ufffe", "\uffff"])
    async def test_forbidden_characters(self, sqs: Sqs, body: str) -> None:
        with pytest.raises(Refused) as refused:
            await sqs.send(await sqs.queue(), body)
        assert refused.value.code == "InvalidMessageContents"

    @pytest.mark.parametrize("body", ["\t\n\r", " ", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "\x7f\x80"])
    async def test_allowed_characters(self, sqs: Sqs, body: str) -> None:
        url = await sqs.queue()
        await sqs.send(url, body)
        assert (await sqs.receive(url))[0]["Body"] == body

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"MessageBody": ""}, "MissingParameter"),
            ({"DelaySeconds": 901}, "InvalidParameterValue"),
            ({"DelaySeconds": -1}, "InvalidParameterValue"),
            ({"MessageDeduplicationId": "x"}, "InvalidParameterValue"),
            ({"MessageGroupId": "a b"}, "InvalidParameterValue"),
            ({"MessageGroupId": "x" * 129}, "InvalidParameterValue"),
            ({"DelaySeconds": "soon"}, "MalformedInput"),
        ],
    )
    async def test_refused_parameters(self, sqs: Sqs, members: dict[str, object], code: str) -> None:
        url = await sqs.queue()
        with pytest.raises(Refused) as refused:
            await sqs.ask("SendMessage", **({"QueueUrl": url, "MessageBody": "x"} | members))
        assert (refused.value.code, refused.value.status, refused.value.fault) == (code, 400, "Sender")
        assert await sqs.receive(url) == []

    @pytest.mark.parametrize(
        ("name", "value", "code"),
        [
            ("", {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            ("AWS.x", {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            ("amazon.x", {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            (".x", {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            ("x.", {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            ("x..y", {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            ("a b", {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            ("x" * 257, {"DataType": "String", "StringValue": "x"}, "InvalidParameterValue"),
            ("x", {"DataType": "Text", "StringValue": "x"}, "InvalidParameterValue"),
            ("x", {"DataType": "", "StringValue": "x"}, "InvalidParameterValue"),
            ("x", {"DataType": "String", "StringValue": ""}, "InvalidParameterValue"),
            ("x", {"DataType": "String"}, "InvalidParameterValue"),
            ("x", {"DataType": "String", "StringValue": "a\x00"}, "InvalidMessageContents"),
            ("x", {"DataType": "Number", "StringValue": "three"}, "InvalidParameterValue"),
            ("x", {"DataType": "Binary", "StringValue": "x"}, "InvalidParameterValue"),
            ("x", {"DataType": "Binary", "BinaryValue": "no base64!"}, "MalformedInput"),
            ("x", {"DataType": "String", "StringListValues": ["a"]}, "UnsupportedOperation"),
            ("x", {"StringValue": "x"}, "MissingParameter"),
        ],
    )
    async def test_refused_attributes(self, sqs: Sqs, name: str, value: dict[str, object], code: str) -> None:
        with pytest.raises(Refused) as refused:
            await sqs.send(await sqs.queue(), MessageAttributes={name: value})
        assert refused.value.code.removeprefix("AWS.SimpleQueueService.") == code

    async def test_at_most_ten_attributes(self, sqs: Sqs) -> None:
        value = {"DataType": "Number", "StringValue": "-1.5e3"}
        url = await sqs.queue()
        await sqs.send(url, MessageAttributes={f"a{n}": value for n in range(10)})
        with pytest.raises(Refused, match="exceeds the allowed maximum"):
            await sqs.send(url, MessageAttributes={f"a{n}": value for n in range(11)})

    @pytest.mark.parametrize(
        "members",
        [
            {"MaxNumberOfMessages": 0},
            {"MaxNumberOfMessages": 11},
            {"WaitTimeSeconds": 21},
            {"VisibilityTimeout": 43201},
            {"VisibilityTimeout": -1},
        ],
    )
    async def test_refused_receives(self, sqs: Sqs, members: dict[str, int]) -> None:
        with pytest.raises(Refused) as refused:
            await sqs.receive(await sqs.queue(), **members)
        assert refused.value.code == "InvalidParameterValue"

    async def test_unknown_system_attribute(self, sqs: Sqs) -> None:
        with pytest.raises(Refused) as refused:
            await sqs.receive(await sqs.queue(), AttributeNames=["Colour"])
        assert refused.value.code == "InvalidAttributeName"

    async def test_no_queue(self, sqs: Sqs) -> None:
        with pytest.raises(Refused) as refused:
            await sqs.send(f"{ORIGIN}/{ACCOUNT}/nowhere")
        assert refused.value.type == "com.amazonaws.sqs#QueueDoesNotExist"
        assert refused.value.code == "AWS.SimpleQueueService.NonExistentQueue"
        assert refused.value.message == "The specified queue does not exist."


class TestLongPolling:
    async def test_a_message_ends_the_wait(self, sqs: Sqs) -> None:
        url = await sqs.queue(ReceiveMessageWaitTimeSeconds=20)
        waiting = asyncio.ensure_future(sqs.receive(url))
        await sqs.clock.until_sleeping()
        assert not waiting.done()
        await sqs.send(url, "at last")
        assert [each["Body"] for each in await asyncio.wait_for(waiting, 10)] == ["at last"]

    async def test_the_wait_ends_with_nothing(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        waiting = asyncio.ensure_future(sqs.receive(url, WaitTimeSeconds=5))
        await sqs.clock.until_sleeping()
        sqs.clock.advance(5)
        assert await asyncio.wait_for(waiting, 10) == []

    async def test_zero_asks_for_no_wait(self, sqs: Sqs) -> None:
        url = await sqs.queue(ReceiveMessageWaitTimeSeconds=20)
        assert await asyncio.wait_for(sqs.receive(url, WaitTimeSeconds=0), 10) == []

    async def test_deleting_the_queue_ends_the_wait(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        waiting = asyncio.ensure_future(sqs.receive(url, WaitTimeSeconds=5))
        await sqs.clock.until_sleeping()
        await sqs.ask("DeleteQueue", QueueUrl=url)
        sqs.clock.advance(5)
        with pytest.raises(Refused) as refused:
            await asyncio.wait_for(waiting, 10)
        assert refused.value.code == "AWS.SimpleQueueService.NonExistentQueue"


class TestVisibility:
    async def test_hidden_for_the_queues_time(self, sqs: Sqs) -> None:
        url = await sqs.queue(VisibilityTimeout=40)
        await sqs.send(url)
        await sqs.receive(url)
        sqs.clock.advance(39)
        assert await sqs.receive(url) == []
        sqs.clock.advance(2)
        (again,) = await sqs.receive(url, AttributeNames=["ApproximateReceiveCount"])
        assert again["Attributes"] == {"ApproximateReceiveCount": "2"}

    async def test_hidden_for_the_receives_time(self, sqs: Sqs) -> None:
        url = await sqs.queue(VisibilityTimeout=40)
        await sqs.send(url)
        await sqs.receive(url, VisibilityTimeout=3)
        sqs.clock.advance(4)
        assert len(await sqs.receive(url, VisibilityTimeout=0)) == 1
        assert len(await sqs.receive(url)) == 1

    async def test_changed(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (message,) = await sqs.receive(url)
        change = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        assert await sqs.ask("ChangeMessageVisibility", **change, VisibilityTimeout=100) == {}
        sqs.clock.advance(99)
        assert await sqs.receive(url) == []
        await sqs.ask("ChangeMessageVisibility", **change, VisibilityTimeout=0)
        assert len(await sqs.receive(url)) == 1

    async def test_shown_at_once_to_who_waits(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (message,) = await sqs.receive(url)
        waiting = asyncio.ensure_future(sqs.receive(url, WaitTimeSeconds=20))
        await sqs.clock.until_sleeping()
        change = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        await sqs.ask("ChangeMessageVisibility", **change, VisibilityTimeout=0)
        assert len(await asyncio.wait_for(waiting, 10)) == 1

    async def test_of_a_message_that_is_gone(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (message,) = await sqs.receive(url)
        named = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        await sqs.ask("DeleteMessage", **named)
        with pytest.raises(Refused) as refused:
            await sqs.ask("ChangeMessageVisibility", **named, VisibilityTimeout=1)
        assert refused.value.code == "InvalidParameterValue"


class TestDelete:
    async def test_deleted_for_good_and_twice_is_no_error(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url, "x" * 10_000)
        (message,) = await sqs.receive(url)
        named = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        assert await sqs.ask("DeleteMessage", **named) == {}
        assert await sqs.ask("DeleteMessage", **named) == {}
        sqs.clock.advance(100)
        assert await sqs.receive(url) == []

    @pytest.mark.parametrize(("name", "waits"), [("jobs", False), ("jobs.fifo", True)])
    async def test_only_where_a_message_comes_once_does_its_delete_wait_for_the_disk(
        self, sqs: Sqs, monkeypatch: pytest.MonkeyPatch, name: str, waits: bool
    ) -> None:
        settle, durable = sqs.broker.settle, list[bool]()

        async def seen(commit: Commit) -> list[Lease]:
            durable.append(commit.durable)
            return await settle(commit)

        monkeypatch.setattr(sqs.broker, "settle", seen)
        url = await sqs.queue(name)
        await sqs.send(url, **({"MessageGroupId": "g", "MessageDeduplicationId": "d"} if waits else {}))
        (message,) = await sqs.receive(url)
        handle = {"ReceiptHandle": message["ReceiptHandle"]}
        await sqs.ask("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": "a", **handle}])
        assert durable == [waits]

    async def test_an_old_handle_does_not_delete_somebody_elses_message(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (old,) = await sqs.receive(url)
        sqs.clock.advance(31)
        (new,) = await sqs.receive(url)
        assert old["ReceiptHandle"] != new["ReceiptHandle"]
        await sqs.ask("DeleteMessage", QueueUrl=url, ReceiptHandle=old["ReceiptHandle"])
        sqs.clock.advance(31)
        assert len(await sqs.receive(url)) == 1

    async def test_the_handle_in_an_event_is_a_receipt_handle(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (lease,) = await sqs.broker.take("jobs", 1)
        await sqs.ask("DeleteMessage", QueueUrl=url, ReceiptHandle=handle_of(lease.receipt))
        sqs.clock.advance(100)
        assert await sqs.receive(url) == []

    @pytest.mark.parametrize("handle", ["", "nonsense", "é", "x" * 5000, handle_of(()), handle_of((1, 2, 3, 4))])
    async def test_what_is_no_handle(self, sqs: Sqs, handle: str) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (message,) = await sqs.receive(url)
        for action, more in (("DeleteMessage", {}), ("ChangeMessageVisibility", {"VisibilityTimeout": 1})):
            with pytest.raises(Refused) as refused:
                await sqs.ask(action, QueueUrl=url, ReceiptHandle=handle, **more)
            assert refused.value.code == "ReceiptHandleIsInvalid"
            entries = [
                {"Id": "good", "ReceiptHandle": message["ReceiptHandle"], **more},
                {"Id": "bad", "ReceiptHandle": handle, **more},
            ]
            result = await sqs.ask(f"{action}Batch", QueueUrl=url, Entries=entries)
            assert [(each["Id"], each["Code"]) for each in result["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]
            if action == "DeleteMessage":
                await sqs.send(url)
                (message,) = await sqs.receive(url)


class TestBatches:
    async def test_each_entry_for_itself(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        entries = [
            {"Id": "good", "MessageBody": "x"},
            {"Id": "bad", "MessageBody": "\x00"},
            {"Id": "late", "MessageBody": "y", "DelaySeconds": 901},
        ]
        result = await sqs.ask("SendMessageBatch", QueueUrl=url, Entries=entries)
        (sent,) = result["Successful"]
        assert sent == {"Id": "good", "MessageId": sent["MessageId"], "MD5OfMessageBody": md5("x")}
        assert [(each["Id"], each["Code"], each["SenderFault"]) for each in result["Failed"]] == [
            ("bad", "InvalidMessageContents", True),
            ("late", "InvalidParameterValue", True),
        ]
        assert all(each["Message"] for each in result["Failed"])
        assert [each["Body"] for each in await sqs.receive(url)] == ["x"]

    async def test_ten_there_and_back(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(10)]
        sent = await sqs.ask("SendMessageBatch", QueueUrl=url, Entries=entries)
        assert [each["Id"] for each in sent["Successful"]] == [str(n) for n in range(10)]
        assert "Failed" not in sent
        received = await sqs.receive(url)
        assert sorted(each["Body"] for each in received) == [f"m{n}" for n in range(10)]
        handles = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(received)]
        hidden = await sqs.ask(
            "ChangeMessageVisibilityBatch",
            QueueUrl=url,
            Entries=[{**each, "VisibilityTimeout": 50 + n % 2} for n, each in enumerate(handles)],
        )
        assert len(hidden["Successful"]) == 10
        sqs.clock.advance(40)
        assert await sqs.receive(url) == []
        deleted = await sqs.ask("DeleteMessageBatch", QueueUrl=url, Entries=handles)
        assert deleted == {"Successful": [{"Id": str(n)} for n in range(10)]}
        sqs.clock.advance(100)
        assert await sqs.receive(url) == []

    async def test_a_bad_handle_fails_alone(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (message,) = await sqs.receive(url)
        entries = [{"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "!"}]
        result = await sqs.ask("DeleteMessageBatch", QueueUrl=url, Entries=entries)
        assert result["Successful"] == [{"Id": "a"}]
        assert [(each["Id"], each["Code"]) for each in result["Failed"]] == [("b", "ReceiptHandleIsInvalid")]
        timed = [{**each, "VisibilityTimeout": 1} for each in entries]
        result = await sqs.ask("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=timed)
        assert [(each["Id"], each["Code"]) for each in result["Failed"]] == [
            ("b", "ReceiptHandleIsInvalid"),
            ("a", "InvalidParameterValue"),
        ]

    @pytest.mark.parametrize("action", ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
    @pytest.mark.parametrize(
        ("ids", "code"),
        [
            ([], "EmptyBatchRequest"),
            (list("abcdefghijk"), "TooManyEntriesInBatchRequest"),
            (["a", "a"], "BatchEntryIdsNotDistinct"),
            (["a b"], "InvalidBatchEntryId"),
            ([""], "InvalidBatchEntryId"),
            (["x" * 81], "InvalidBatchEntryId"),
        ],
    )
    async def test_refused_as_a_whole(self, sqs: Sqs, action: str, ids: list[str], code: str) -> None:
        url = await sqs.queue()
        entries = [{"Id": id, "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 1} for id in ids]
        with pytest.raises(Refused) as refused:
            await sqs.ask(action, QueueUrl=url, Entries=entries)
        assert refused.value.code == f"AWS.SimpleQueueService.{code}"
        assert refused.value.type == f"com.amazonaws.sqs#{code}"

    async def test_too_long_together(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        entries = [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
        with pytest.raises(Refused) as refused:
            await sqs.ask("SendMessageBatch", QueueUrl=url, Entries=entries)
        assert refused.value.code == "AWS.SimpleQueueService.BatchRequestTooLong"
        assert await sqs.receive(url) == []
