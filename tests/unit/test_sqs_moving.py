"""Message move tasks: dead letters go home or elsewhere, at a pace, until they are stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqs_parts import ACCOUNT, REGION, Json, Open, Refused, Sqs, memory, sqlite


@pytest.fixture(params=[memory, sqlite], ids=["memory", "sqlite"])
async def sqs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sqs]:
    opened: Open = request.param
    async with opened(tmp_path) as found:
        yield found
        await found.service.close()


def arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


async def with_dead_letters(sqs: Sqs, count: int) -> str:
    """Queues `dead` and `jobs`, and `count` of the latter's messages in the former."""
    await sqs.queue("dead")
    policy = json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 1})
    url = await sqs.queue(RedrivePolicy=policy, VisibilityTimeout=1)
    for n in range(count):
        await sqs.send(url, str(n))
    while await sqs.receive(url):
        sqs.clock.advance(2)
    return url


async def until(sqs: Sqs, status: str) -> Json:
    """The latest task, once it has come to that."""
    while True:
        (task,) = (await sqs.ask("ListMessageMoveTasks", SourceArn=arn("dead")))["Results"]
        if task["Status"] == status:
            return dict(task)
        await asyncio.sleep(0)


class TestMoveTasks:
    async def test_home(self, sqs: Sqs) -> None:
        url = await with_dead_letters(sqs, 3)
        started = await sqs.ask("StartMessageMoveTask", SourceArn=arn("dead"))
        assert sorted(started) == ["TaskHandle"]
        task = await until(sqs, "COMPLETED")
        assert task == {
            "Status": "COMPLETED",
            "SourceArn": arn("dead"),
            "ApproximateNumberOfMessagesMoved": 3,
            "ApproximateNumberOfMessagesToMove": 3,
            "StartedTimestamp": task["StartedTimestamp"],
        }
        assert sorted(each["Body"] for each in await sqs.receive(url)) == ["0", "1", "2"]

    async def test_elsewhere(self, sqs: Sqs) -> None:
        await with_dead_letters(sqs, 2)
        other = await sqs.queue("other")
        await sqs.ask("StartMessageMoveTask", SourceArn=arn("dead"), DestinationArn=arn("other"))
        assert (await until(sqs, "COMPLETED"))["DestinationArn"] == arn("other")
        assert len(await sqs.receive(other)) == 2

    async def test_at_a_pace_until_cancelled(self, sqs: Sqs) -> None:
        url = await with_dead_letters(sqs, 5)
        named = {"SourceArn": arn("dead")}
        handle = (await sqs.ask("StartMessageMoveTask", **named, MaxNumberOfMessagesPerSecond=2))["TaskHandle"]
        await sqs.clock.until_sleeping()
        with pytest.raises(Refused, match="already a task running"):
            await sqs.ask("StartMessageMoveTask", **named)
        (running,) = (await sqs.ask("ListMessageMoveTasks", **named))["Results"]
        assert (running["Status"], running["TaskHandle"]) == ("RUNNING", handle)
        stopped = await sqs.ask("CancelMessageMoveTask", TaskHandle=handle)
        assert stopped == {"ApproximateNumberOfMessagesMoved": 2}
        sqs.clock.advance(1)
        assert (await until(sqs, "CANCELLED"))["ApproximateNumberOfMessagesMoved"] == 2
        assert len(await sqs.receive(url)) == 2
        with pytest.raises(Refused, match="Only active"):
            await sqs.ask("CancelMessageMoveTask", TaskHandle=handle)

    async def test_what_is_in_flight_stays(self, sqs: Sqs) -> None:
        await with_dead_letters(sqs, 2)
        dead = await sqs.queue("dead")
        await sqs.receive(dead, MaxNumberOfMessages=1)
        await sqs.ask("StartMessageMoveTask", SourceArn=arn("dead"))
        assert (await until(sqs, "COMPLETED"))["ApproximateNumberOfMessagesMoved"] == 1

    async def test_home_is_gone(self, sqs: Sqs) -> None:
        url = await with_dead_letters(sqs, 1)
        policy = json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 1})
        await sqs.queue("other", RedrivePolicy=policy)
        await sqs.ask("DeleteQueue", QueueUrl=url)
        await sqs.ask("StartMessageMoveTask", SourceArn=arn("dead"))
        assert "jobs" in (await until(sqs, "FAILED"))["FailureReason"]
        assert len(await sqs.receive(await sqs.queue("dead"))) == 1

    async def test_refused(self, sqs: Sqs) -> None:
        await with_dead_letters(sqs, 0)
        await sqs.queue("b.fifo")
        cases = [
            ("StartMessageMoveTask", {"SourceArn": arn("nowhere")}, "ResourceNotFoundException"),
            ("StartMessageMoveTask", {"SourceArn": "nonsense"}, "ResourceNotFoundException"),
            ("StartMessageMoveTask", {"SourceArn": arn("jobs")}, "InvalidParameterValue"),
            (
                "StartMessageMoveTask",
                {"SourceArn": arn("dead"), "DestinationArn": arn("dead")},
                "InvalidParameterValue",
            ),
            (
                "StartMessageMoveTask",
                {"SourceArn": arn("dead"), "DestinationArn": arn("x")},
                "ResourceNotFoundException",
            ),
            (
                "StartMessageMoveTask",
                {"SourceArn": arn("dead"), "DestinationArn": arn("b.fifo")},
                "InvalidParameterValue",
            ),
            (
                "StartMessageMoveTask",
                {"SourceArn": arn("dead"), "MaxNumberOfMessagesPerSecond": 501},
                "InvalidParameterValue",
            ),
            ("ListMessageMoveTasks", {"SourceArn": arn("nowhere")}, "ResourceNotFoundException"),
            ("ListMessageMoveTasks", {"SourceArn": arn("dead"), "MaxResults": 11}, "InvalidParameterValue"),
            ("CancelMessageMoveTask", {"TaskHandle": "nonsense"}, "ResourceNotFoundException"),
        ]
        for action, members, code in cases:
            with pytest.raises(Refused) as refused:
                await sqs.ask(action, **members)
            assert refused.value.code == code, (action, members)
