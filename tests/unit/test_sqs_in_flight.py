"""Messages in flight: no longer so, too many of them, and purged; what SQS says of each, over both embedded brokers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqs_parts import Open, Refused, Sqs, memory, sqlite

from millrace.aws.sqs import inflight

PREFIX = "AWS.SimpleQueueService."


@pytest.fixture(params=[memory, sqlite], ids=["memory", "sqlite"])
async def sqs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sqs]:
    opened: Open = request.param
    async with opened(tmp_path) as found:
        yield found


async def hide(sqs: Sqs, url: str, handle: str, timeout_s: int = 60) -> str:
    """The error's code, empty where there is none."""
    try:
        await sqs.ask("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=timeout_s)
    except Refused as refused:
        return refused.code.removeprefix(PREFIX)
    return ""


async def delete(sqs: Sqs, url: str, handle: str) -> str:
    """The error's code, empty where there is none."""
    try:
        await sqs.ask("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    except Refused as refused:
        return refused.code
    return ""


class TestVisibility:
    @pytest.mark.parametrize("name", ["jobs", "jobs.fifo"])
    async def test_of_a_message_that_is_visible_again(self, sqs: Sqs, name: str) -> None:
        url = await sqs.queue(name)
        fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if name.endswith(".fifo") else {}
        await sqs.send(url, **fifo)
        (first,) = await sqs.receive(url)
        sqs.clock.advance(31)
        assert await hide(sqs, url, first["ReceiptHandle"]) == "MessageNotInflight"
        (second,) = await sqs.receive(url)  # it was not hidden again
        assert await hide(sqs, url, first["ReceiptHandle"]) == "InvalidParameterValue"
        assert await hide(sqs, url, second["ReceiptHandle"], 0) == ""
        assert await hide(sqs, url, second["ReceiptHandle"]) == "MessageNotInflight"

    async def test_of_a_deleted_message(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        (message,) = await sqs.receive(url)
        assert await delete(sqs, url, message["ReceiptHandle"]) == ""
        assert await hide(sqs, url, message["ReceiptHandle"]) == "InvalidParameterValue"

    async def test_in_a_batch_each_has_its_own_error(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        for body in ("kept", "shown", "deleted"):
            await sqs.send(url, body)
        handles = {each["Body"]: each["ReceiptHandle"] for each in await sqs.receive(url)}
        await hide(sqs, url, handles["shown"], 0)
        await delete(sqs, url, handles["deleted"])
        entries = [{"Id": id, "ReceiptHandle": handle, "VisibilityTimeout": 60} for id, handle in handles.items()]
        found = await sqs.ask("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=entries)
        assert found["Successful"] == [{"Id": "kept"}]
        codes = {each["Id"]: each["Code"] for each in found["Failed"]}
        assert codes == {"shown": f"{PREFIX}MessageNotInflight", "deleted": "InvalidParameterValue"}


class TestDeleteInAFifoQueue:
    async def test_twice_is_once(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        await sqs.send(url, MessageGroupId="g")
        (message,) = await sqs.receive(url)
        assert [await delete(sqs, url, message["ReceiptHandle"]) for _ in range(3)] == ["", "", ""]

    async def test_after_its_visibility_timeout_is_refused(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
        await sqs.send(url, "late", MessageGroupId="g")
        (message,) = await sqs.receive(url)
        sqs.clock.advance(31)
        assert await delete(sqs, url, message["ReceiptHandle"]) == "InvalidParameterValue"
        entries = [{"Id": "a", "ReceiptHandle": message["ReceiptHandle"]}]
        found = await sqs.ask("DeleteMessageBatch", QueueUrl=url, Entries=entries)
        assert "expired" in found["Failed"][0]["Message"]
        assert [each["Body"] for each in await sqs.receive(url)] == ["late"]


async def test_a_purge_takes_what_is_in_flight(sqs: Sqs) -> None:
    url = await sqs.queue("a.fifo", ContentBasedDeduplication="true")
    for n in range(3):
        await sqs.send(url, str(n), MessageGroupId="g")
    (held,) = await sqs.receive(url, MaxNumberOfMessages=1)
    await sqs.ask("PurgeQueue", QueueUrl=url)
    assert await hide(sqs, url, held["ReceiptHandle"]) == "InvalidParameterValue"
    await sqs.send(url, "new", MessageGroupId="g")
    assert [each["Body"] for each in await sqs.receive(url)] == ["new"]


class TestLimit:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inflight, "LIMIT", 12)

    async def full(self, sqs: Sqs, name: str = "jobs") -> tuple[str, list[str]]:
        """A queue of 15 messages, of which as many as may be are in flight."""
        url = await sqs.queue(name)
        for n in range(15):
            fifo = {"MessageGroupId": str(n), "MessageDeduplicationId": str(n)} if name.endswith(".fifo") else {}
            await sqs.send(url, str(n), **fifo)
        received = [await sqs.receive(url), await sqs.receive(url)]
        assert [len(each) for each in received] == [10, 2]
        return url, [each["ReceiptHandle"] for batch in received for each in batch]

    async def test_a_short_poll_is_told_until_something_is_deleted(self, sqs: Sqs) -> None:
        url, handles = await self.full(sqs)
        with pytest.raises(Refused, match="in flight") as refused:
            await sqs.receive(url)
        assert refused.value.code == "OverLimit"
        await delete(sqs, url, handles[0])
        assert len(await sqs.receive(url)) == 1

    async def test_a_long_poll_and_a_fifo_queue_get_nothing(self, sqs: Sqs) -> None:
        url, _ = await self.full(sqs, "a.fifo")
        assert await sqs.receive(url) == []
        url, _ = await self.full(sqs)
        waiting = asyncio.create_task(sqs.receive(url, WaitTimeSeconds=5))
        await sqs.clock.until_sleeping()
        sqs.clock.advance(5)
        assert await waiting == []

    async def test_a_purge_makes_room(self, sqs: Sqs) -> None:
        url, _ = await self.full(sqs)
        await sqs.ask("PurgeQueue", QueueUrl=url)
        await sqs.send(url)
        assert len(await sqs.receive(url)) == 1
