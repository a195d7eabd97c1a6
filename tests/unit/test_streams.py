"""A `table:` event, as Lambda's event source mapping for DynamoDB streams has it."""

from __future__ import annotations

from typing import Any

from flow_parts import Bench, running

TABLES: dict[str, Any] = {"t": {}}


def event(**settings: Any) -> dict[str, Any]:
    return {"events": [{"table": "t", "batch": {"size": 10}, **settings}]}


def numbers(event: Any) -> list[int]:
    return [int(record["dynamodb"]["SequenceNumber"]) for record in event["Records"]]


def answer(*sequences: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"{sequence:021d}"} for sequence in sequences]}


def fail(event: Any, context: Any) -> None:
    raise ValueError("no")


async def test_changes_come_in_batches_in_order_per_key() -> None:
    seen: list[list[int]] = []
    async with running(lambda event, _: seen.append(numbers(event)), tables=TABLES, f=event()) as bench:
        await bench.change(1, 2, 3)
        await bench.settle()
        assert await bench.depth("f.t.stream") == 0
    assert [number for batch in seen for number in batch] == [1, 2, 3]


async def test_a_change_that_matches_no_filter_is_passed_over() -> None:
    seen: list[int] = []
    pattern = {"eventName": ["MODIFY"], "dynamodb": {"NewImage": {"kind": {"S": ["x"]}}}}
    settings = event(filter=[pattern])
    async with running(lambda event, _: seen.extend(numbers(event)), tables=TABLES, f=settings) as bench:
        await bench.change(1, kind="x")
        await bench.change(2, kind="y")
        await bench.settle()
        assert await bench.depth("f.t.stream") == 0
    assert seen == [1]


async def test_everything_from_the_lowest_named_failure_on_is_read_again_and_only_that_is_blamed() -> None:
    seen: list[list[int]] = []

    def function(event: Any, context: Any) -> Any:
        seen.append(numbers(event))
        return answer(3, 2) if len(seen) == 1 else None

    async with running(function, tables=TABLES, f=event()) as bench:
        await bench.change(1, 2, 3)
        await bench.change(4, key="other")
        await bench.settle()
        await bench.after(1.0)
        assert await bench.depth("f.t.stream") == 0
        attempts = {number: await _attempts(bench, f"c{number}") for number in (1, 2, 3, 4)}
    assert seen[0] == [1, 2, 3, 4]
    assert sorted(number for batch in seen[1:] for number in batch) == [2, 3, 4]
    assert [number for batch in seen[1:] for number in batch if number != 4] == [2, 3]
    assert attempts == {1: 1, 2: 2, 3: 1, 4: 1}


async def _attempts(bench: Bench, id: str) -> int:
    record = await bench.results.get(id)
    assert record is not None
    return record.attempts


async def test_bisection_finds_the_culprit_and_holds_its_key_alone() -> None:
    def function(event: Any, context: Any) -> None:
        if 2 in numbers(event):
            raise ValueError("no")

    async with running(function, tables=TABLES, f=event(tries=1)) as bench:
        await bench.change(1, 2, 3)
        await bench.change(4, key="other")
        await bench.settle()
        assert await bench.depth("f.t.stream") == 2, "the culprit, and what follows it in its key"
        await bench.after(1.0)
        assert await bench.depth("f.t.stream") == 0
        assert await bench.dead("f.t.stream") == ["c2"]
        assert await _attempts(bench, "c3") == 1


async def test_a_batch_that_is_given_up_whole_is_one_envelope() -> None:
    settings = event(tries=1, on_error="batch", on_failure={"queue": "bad"})
    aws = {"account": "123456789012", "region": "eu-west-1"}
    async with running(fail, tables=TABLES, queues={"bad": {}}, f=settings, aws=aws) as bench:
        await bench.change(1, 2, 3)
        await bench.settle()
        await bench.after(1.0)
        assert [len(run) for run in bench.replicas.runs] == [3, 3]
        (message,) = await bench.messages("bad")
        assert await bench.depth("f.t.stream") == 0
        assert await bench.dead("f.t.stream") == []
    envelope = message.json()
    info = envelope["DDBStreamBatchInfo"]
    assert envelope["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert envelope["requestContext"]["approximateInvokeCount"] == 2
    assert envelope["responseContext"]["functionError"] == "Unhandled"
    assert set(info) == {
        *("shardId", "startSequenceNumber", "endSequenceNumber", "approximateArrivalOfFirstRecord"),
        *("approximateArrivalOfLastRecord", "batchSize", "streamArn"),
    }
    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == (f"{1:021d}", f"{3:021d}", 3)
    assert info["approximateArrivalOfFirstRecord"] == "2023-11-14T22:13:20Z"
    assert info["streamArn"].startswith("arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/")
    assert "requestPayload" not in envelope


async def test_a_change_that_is_too_old_is_given_up() -> None:
    settings = event(max_age=10.0, on_failure={"queue": "bad"})
    async with running(fail, tables=TABLES, queues={"bad": {}}, f=settings) as bench:
        await bench.change(1)
        await bench.settle()
        for _ in range(12):
            await bench.after(1.0)
        (message,) = await bench.messages("bad")
        assert await bench.depth("f.t.stream") == 0
    assert message.json()["requestContext"]["condition"] == "RecordAgeExceeded"


async def test_without_a_number_of_tries_a_change_is_tried_for_a_day() -> None:
    async with running(fail, tables=TABLES, f=event()) as bench:
        await bench.change(1)
        await bench.settle()
        for _ in range(400):
            await bench.after(300.0)
            if await bench.dead("f.t.stream"):
                break
        passed = bench.clock.now() - 1_700_000_000.0
        assert await bench.dead("f.t.stream") == ["c1"]
    assert 86_000 < passed <= 86_700


async def test_a_stream_that_is_not_enabled_is_not_read() -> None:
    async with running(fail, tables=TABLES, f=event(enabled=False)) as bench:
        await bench.change(1)
        await bench.settle()
        assert await bench.depth("f.t.stream") == 1
    assert bench.replicas.runs == []
