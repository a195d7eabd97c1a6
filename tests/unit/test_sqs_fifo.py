"""FIFO queues: order within a group, deduplication, sequence numbers, receive attempts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqs_parts import Open, Refused, Sqs, memory, sqlite


@pytest.fixture(params=[memory, sqlite], ids=["memory", "sqlite"])
async def sqs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sqs]:
    opened: Open = request.param
    async with opened(tmp_path) as found:
        yield found


async def bodies(sqs: Sqs, url: str, **members: Any) -> list[str]:
    return [each["Body"] for each in await sqs.receive(url, **members)]


async def delete_all(sqs: Sqs, url: str, messages: list[dict[str, Any]]) -> None:
    for each in messages:
        await sqs.ask("DeleteMessage", QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])


class TestOrder:
    async def test_within_a_group(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        for n in range(3):
            await sqs.send(url, f"x{n}", MessageGroupId="x")
            await sqs.send(url, f"y{n}", MessageGroupId="y")
        first = await sqs.receive(url, MaxNumberOfMessages=1)
        assert [each["Body"] for each in first] == ["x0"]
        assert await bodies(sqs, url) == ["y0", "y1", "y2"]  # x waits for x0
        await delete_all(sqs, url, first)
        assert await bodies(sqs, url) == ["x1", "x2"]

    async def test_sequence_numbers_and_system_attributes(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo")
        sent = [await sqs.send(url, str(n), MessageGroupId="g", MessageDeduplicationId=f"d{n}") for n in range(3)]
        numbers = [each["SequenceNumber"] for each in sent]
        assert numbers == sorted(set(numbers))
        assert all(len(number) == 20 and number.isdigit() for number in numbers)
        received = await sqs.receive(url, AttributeNames=["All"])
        assert [each["Attributes"]["SequenceNumber"] for each in received] == numbers
        assert [each["Attributes"]["MessageDeduplicationId"] for each in received] == ["d0", "d1", "d2"]
        assert {each["Attributes"]["MessageGroupId"] for each in received} == {"g"}
        assert [each["MessageId"] for each in received] == [each["MessageId"] for each in sent]


class TestDeduplication:
    async def test_the_second_is_the_first(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo")
        named = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
        first, second = await sqs.send(url, "one", **named), await sqs.send(url, "two", **named)
        assert second["MessageId"] == first["MessageId"]
        assert second["SequenceNumber"] == first["SequenceNumber"]
        received = await sqs.receive(url)
        assert [each["Body"] for each in received] == ["one"]
        await delete_all(sqs, url, received)
        await sqs.send(url, "three", **named)
        assert await bodies(sqs, url) == []

    async def test_for_five_minutes(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo")
        named = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
        await sqs.send(url, "one", **named)
        await delete_all(sqs, url, await sqs.receive(url))
        sqs.clock.advance(301)
        await sqs.send(url, "two", **named)
        assert await bodies(sqs, url) == ["two"]

    async def test_by_content(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        for body in ("same", "same", "other"):
            await sqs.send(url, body, MessageGroupId="g")
        received = await sqs.receive(url, AttributeNames=["MessageDeduplicationId"])
        ids = [each["Attributes"]["MessageDeduplicationId"] for each in received]
        assert ids == [hashlib.sha256(body).hexdigest() for body in (b"same", b"other")]

    async def test_across_groups_unless_the_scope_says_otherwise(self, sqs: Sqs) -> None:
        per_queue = await sqs.queue("a.fifo")
        per_group = await sqs.queue("b.fifo", DeduplicationScope="messageGroup")
        for url in (per_queue, per_group):
            for group in ("x", "y", "y"):
                await sqs.send(url, group, MessageGroupId=group, MessageDeduplicationId="d")
        assert await bodies(sqs, per_queue) == ["x"]
        assert await bodies(sqs, per_group) == ["x", "y"]

    async def test_within_a_batch(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        entries = [{"Id": str(n), "MessageBody": "same", "MessageGroupId": "g"} for n in range(2)]
        result = await sqs.ask("SendMessageBatch", QueueUrl=url, Entries=entries)
        assert len({each["MessageId"] for each in result["Successful"]}) == 1
        assert await bodies(sqs, url) == ["same"]


class TestRules:
    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({}, "MissingParameter"),
            ({"MessageGroupId": "g"}, "InvalidParameterValue"),
            ({"MessageGroupId": "g", "MessageDeduplicationId": ""}, "InvalidParameterValue"),
            ({"MessageGroupId": "é", "MessageDeduplicationId": "d"}, "InvalidParameterValue"),
            ({"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 1}, "InvalidParameterValue"),
        ],
    )
    async def test_refused(self, sqs: Sqs, members: dict[str, object], code: str) -> None:
        url = await sqs.queue("a.fifo")
        with pytest.raises(Refused) as refused:
            await sqs.send(url, **members)
        assert refused.value.code == code

    async def test_the_queues_delay(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", DelaySeconds=5, ContentBasedDeduplication="true")
        await sqs.send(url, "late", MessageGroupId="g", DelaySeconds=0)
        assert await bodies(sqs, url) == []
        sqs.clock.advance(6)
        assert await bodies(sqs, url) == ["late"]

    async def test_a_receipt_that_was_outrun(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        await sqs.send(url, MessageGroupId="g")
        (old,) = await sqs.receive(url)
        sqs.clock.advance(31)
        await sqs.receive(url)
        with pytest.raises(Refused, match="receipt handle has expired"):
            await sqs.ask("DeleteMessage", QueueUrl=url, ReceiptHandle=old["ReceiptHandle"])


class TestReceiveAttempts:
    async def test_the_same_attempt_gets_the_same_messages(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        for n in range(3):
            await sqs.send(url, str(n), MessageGroupId="g")
        first = await sqs.receive(url, MaxNumberOfMessages=2, ReceiveRequestAttemptId="try")
        sqs.clock.advance(20)
        again = await sqs.receive(url, MaxNumberOfMessages=2, ReceiveRequestAttemptId="try")
        assert again == first
        sqs.clock.advance(20)  # its visibility timeout began anew
        assert await bodies(sqs, url) == []
        await delete_all(sqs, url, again)

    async def test_another_attempt_gets_others(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        for group in "xy":
            await sqs.send(url, group, MessageGroupId=group)
        assert await bodies(sqs, url, MaxNumberOfMessages=1, ReceiveRequestAttemptId="1") == ["x"]
        assert await bodies(sqs, url, MaxNumberOfMessages=1, ReceiveRequestAttemptId="2") == ["y"]

    async def test_an_attempt_is_old_after_five_minutes(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        await sqs.send(url, "one", MessageGroupId="g")
        first = await sqs.receive(url, ReceiveRequestAttemptId="try")
        sqs.clock.advance(301)
        (again,) = await sqs.receive(url, ReceiveRequestAttemptId="try")
        assert again["ReceiptHandle"] != first[0]["ReceiptHandle"]
