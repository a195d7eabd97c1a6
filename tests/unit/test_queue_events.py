"""A `queue:` event with each of its settings, as Lambda's event source mapping for SQS has them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from flow_parts import running

from millrace.broker import dead_letters, receipt_of
from millrace.flow import mapping

SQS = {"on_error": "batch", "retry": "lease"}


def answers(*ids: Any) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": id} for id in ids]}


def bodies(event: Any) -> list[str]:
    return [record["body"] for record in event["Records"]]


async def test_a_message_that_matches_no_filter_is_deleted_without_running_and_counted() -> None:
    seen: list[str] = []

    def function(event: Any, context: Any) -> None:
        seen.extend(bodies(event) if "Records" in event else ["an event of another source"])

    event = {"queue": "q", "batch": {"size": 10}, "filter": [{"body": {"n": [{"numeric": [">", 1]}]}}]}
    async with running(function, queues={"q": {}}, f={"events": [event]}) as bench:
        for number in range(4):
            await bench.put("q", f"m{number}", body={"n": number})
        await bench.put("q", "text", body=b"no json")
        await bench.put("q", "tick", body={"any": "event"}, **{"millrace-event": "raw"})
        await bench.settle()
        assert await bench.depth("q") == 0
        assert await bench.dead("q") == []
        counted = bench.telemetry.exposition()[0].decode()
    assert seen == ['{"n":2}', '{"n":3}', "an event of another source"]
    assert 'millrace_messages_filtered_total{function="f"} 3.0' in counted


async def test_a_message_that_the_filter_cannot_judge_is_a_dead_letter_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def judge(record: Any) -> bool:
        if record["messageId"] == "odd":
            raise ValueError("it is odd")
        return True

    monkeypatch.setattr(mapping, "queue_filter", lambda _: judge)
    seen: list[str] = []
    event = {"queue": "q", "batch": {"size": 10}, "filter": [{"body": {"n": [1]}}]}
    async with running(lambda event, _: seen.extend(bodies(event)), queues={"q": {}}, f={"events": [event]}) as bench:
        await bench.put("q", "odd", body={"n": 1})
        await bench.put("q", "good", body={"n": 1})
        await bench.settle()
        assert seen == ['{"n":1}']
        assert await bench.depth("q") == 0
        (letter,) = await bench.broker.peek(dead_letters("q"))
    assert letter.message.id == "odd"
    assert letter.death is not None
    assert (letter.death.reason, letter.death.failure.type, letter.death.attempts) == ("dead", "Unfilterable", 0)
    assert "the filter cannot judge this message: ValueError: it is odd" in letter.death.failure.message


async def test_no_more_batches_at_once_than_concurrency() -> None:
    for limit, most in ((2, 2), (None, 5)):
        event = {"queue": "q", "concurrency": limit}
        async with running(lambda *_: None, 5, queues={"q": {}}, f={"events": [event]}) as bench:
            bench.replicas.gate.clear()
            await bench.put("q", *"abcdefg")
            await bench.settle()
            assert bench.replicas.inside >= most
            assert limit is None or bench.replicas.inside == limit
            bench.replicas.gate.set()
            await bench.settle()
            assert await bench.depth("q") == 0


async def test_the_events_own_batch_goes_before_the_functions() -> None:
    settings = {"batch": {"size": 2}, "events": [{"queue": "q", "batch": {"size": 3}}, {"queue": "other"}]}
    async with running(lambda *_: None, queues={"q": {}, "other": {}}, f=settings) as bench:
        bench.replicas.gate.clear()
        await bench.put("q", *"abc")
        await bench.put("other", *"xyz")
        bench.replicas.gate.set()
        await bench.settle()
    assert sorted(bench.replicas.runs) == [["a", "b", "c"], ["x", "y"], ["z"]]


async def test_an_event_that_is_not_enabled_takes_nothing() -> None:
    async with running(lambda *_: None, queues={"q": {}}, f={"events": [{"queue": "q", "enabled": False}]}) as bench:
        await bench.put("q", "a")
        await bench.settle()
        assert (await bench.broker.stats("q")).depth == 1
    assert bench.replicas.runs == []


async def test_an_answer_counts_only_where_it_is_partial() -> None:
    for partial, left in ((True, 1), (False, 0)):
        event = {"queue": "q", "batch": {"size": 3}, "partial": partial, **SQS}
        async with running(lambda *_: answers("b"), queues={"q": {}}, f={"events": [event]}) as bench:
            await bench.put("q", *"abc")
            await bench.settle()
            assert await bench.depth("q") == left


async def test_a_batch_that_raises_fails_whole_and_comes_back_when_its_visibility_ends() -> None:
    def function(event: Any, context: Any) -> None:
        if bench.clock.now() < start + 60:
            raise ValueError("no")

    event = {"queue": "q", "batch": {"size": 3}, **SQS}
    queues = {"q": {"lease": 30.0, "max_receives": 5}}
    async with running(function, queues=queues, f={"events": [event]}) as bench:
        start = bench.clock.now()
        await bench.put("q", *"abc")
        await bench.settle()
        assert bench.replicas.runs == [["a", "b", "c"]], "nobody looks for a culprit"
        assert (await bench.broker.stats("q")).in_flight == 3
        await bench.after(29.0)
        assert len(bench.replicas.runs) == 1
        await bench.after(1.0)
        await bench.after(30.0)
        assert bench.replicas.runs == [["a", "b", "c"]] * 3
        assert await bench.depth("q") == 0
        for id in "abc":
            record = await bench.results.get(id)
            assert record is not None
            assert record.attempts == 3, "each message's attempt is counted"


async def test_every_message_of_a_batch_that_keeps_failing_is_dead_together() -> None:
    def function(event: Any, context: Any) -> None:
        raise ValueError("no")

    event = {"queue": "q", "batch": {"size": 2}, **SQS}
    async with running(function, queues={"q": {"max_receives": 2}}, f={"events": [event]}) as bench:
        await bench.put("q", "a", "b")
        await bench.settle()
        first = bench.clock.now()
        await bench.after(30.0)
        assert sorted(await bench.dead("q")) == ["a", "b"]
        (peeked, _) = await bench.broker.peek("q.dead")
        assert peeked.death is not None
        assert (peeked.death.attempts, peeked.death.failure.message) == (2, "no")
        assert (peeked.death.first_failed_at, peeked.death.last_failed_at) == (first, first + 30.0)


async def test_a_handler_that_changes_the_visibility_of_what_fails_has_its_way() -> None:
    async def hide(handle: str, seconds: float) -> None:
        (lease,) = [each for each in taken if each.receipt == receipt_of(handle)]
        await bench.broker.extend([lease], seconds)

    def function(event: Any, context: Any) -> Any:
        changes.append(asyncio.ensure_future(hide(event["Records"][0]["receiptHandle"], 300.0)))
        return answers("a")

    taken: list[Any] = []
    changes: list[Any] = []
    async with running(function, queues={"q": {}}, f={"events": [{"queue": "q", **SQS}]}) as bench:
        take = bench.broker.take

        async def noting(*args: Any, **kwargs: Any) -> Any:
            found = await take(*args, **kwargs)
            taken.extend(found)
            return found

        bench.broker.take = noting  # type: ignore[method-assign]
        await bench.put("q", "a")
        await bench.settle()
        await asyncio.gather(*changes)
        await bench.after(299.0)
        assert len(bench.replicas.runs) == 1
        await bench.after(1.0)
        assert len(bench.replicas.runs) == 2


async def test_backoff_and_bisection_stay_what_they_were_by_default() -> None:
    def function(event: Any, context: Any) -> None:
        if "bad" in [record["messageId"] for record in event["Records"]]:
            raise ValueError("no")

    event = {"queue": "q", "batch": {"size": 4}}
    async with running(function, queues={"q": {}}, f={"events": [event]}) as bench:
        await bench.put("q", "a", "bad", "b")
        await bench.settle()
        assert await bench.depth("q") == 1, "the others are done"
        await bench.after(1.0)
        assert bench.replicas.runs[-1] == ["bad"], "after the first backoff"


async def test_what_fails_in_a_fifo_queue_holds_its_group_until_its_visibility_ends() -> None:
    order: list[str] = []

    def function(event: Any, context: Any) -> Any:
        ids = [record["messageId"] for record in event["Records"]]
        order.extend(ids)
        return answers(*ids) if order == ["a", "b"] else None

    event = {"queue": "q", "batch": {"size": 2}, **SQS}
    async with running(function, queues={"q": {"fifo": True}}, f={"events": [event]}) as bench:
        await bench.put("q", *"abc")
        await bench.settle()
        assert order == ["a", "b"]
        await bench.after(30.0)
        assert order == ["a", "b", "a", "b", "c"]


async def test_without_groups_a_fifo_queue_is_one_line() -> None:
    order: list[str] = []

    def function(event: Any, context: Any) -> Any:
        order.extend(record["messageId"] for record in event["Records"])
        return answers("a") if len(order) == 2 else None

    settings = {"events": [{"queue": "q", "batch": {"size": 2}}]}
    async with running(function, queues={"q": {"fifo": True}}, f=settings) as bench:
        await bench.put("q", *"abc")
        await bench.settle()
        assert order == ["a", "b"]
        await bench.after(1.0)
        assert order == ["a", "b", "a", "b", "c"], "what follows a message that is tried again waits for it"


async def test_a_window_gathers_for_as_long_as_lambdas_longest() -> None:
    event = {"queue": "q", "batch": {"size": 3, "wait": 300.0}, **SQS}
    async with running(lambda *_: None, queues={"q": {"lease": 900.0}}, f={"events": [event]}) as bench:
        await bench.put("q", "a")
        await bench.settle()
        await bench.after(299.0)
        assert bench.replicas.runs == []
        await bench.put("q", "b")
        await bench.settle()
        await bench.after(1.0)
        assert bench.replicas.runs == [["a", "b"]], "the oldest waited 300 s"
        await bench.put("q", *"xyz")
        await bench.settle()
        assert bench.replicas.runs[-1] == ["x", "y", "z"], "a full batch waits no longer"


async def test_a_fifo_queue_has_no_window_to_wait_for() -> None:
    event = {"queue": "q", "batch": {"size": 10}, **SQS}
    async with running(lambda *_: None, queues={"q": {"fifo": True}}, f={"events": [event]}) as bench:
        await bench.put("q", "a")
        await bench.settle()
        assert bench.replicas.runs == [["a"]]


async def test_no_renewal_overrules_the_visibility_that_a_running_handler_chose() -> None:
    event = {"queue": "q", **SQS}
    settings = {"events": [event], "timeout": 15.0}
    async with running(lambda *_: answers("a"), queues={"q": {"lease": 30.0}}, f=settings) as bench:
        take, taken = bench.broker.take, []

        async def noting(*args: Any, **kwargs: Any) -> Any:
            taken.extend(found := await take(*args, **kwargs))
            return found

        bench.broker.take = noting  # type: ignore[method-assign]
        bench.replicas.gate.clear()
        await bench.put("q", "a")
        await bench.settle()
        await bench.broker.extend(taken, 300.0)
        await bench.after(11.0)  # the keeper's turn
        bench.replicas.gate.set()
        await bench.settle()
        await bench.after(280.0)
        assert len(bench.replicas.runs) == 1
        await bench.after(10.0)
        assert len(bench.replicas.runs) == 2
