"""The Lambda contract inside a replica: which messages are one invocation, and what its end means to each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_samples import AT, SPEC, event_message, run_of

from millrace.aws.batch_response import failures as reported
from millrace.aws.invocations import event_of, invocations
from millrace.errors import Dead, LoadError, Retry
from millrace.replica import handler as contract
from millrace.replica.handler import Handler
from millrace.replica.output import working
from millrace.source import BusPost, HttpRequest, ObjectChange, Published, Push, RowChange, Tick
from millrace.types import Message
from millrace.wire import Ran, Run

PLAIN = [Message(f"m{number}", f"body {number}".encode(), {}, AT) for number in range(1, 4)]
TICK = Tick("rate(1 day)", "resize", AT)
REQUEST = HttpRequest("GET", "/x", "/x", {}, [], [], b"", "127.0.0.1", AT)


def change(sequence: int) -> RowChange:
    return RowChange("insert", "pets", "id", "rex", sequence, None, msgspec.Raw(b'{"id":"rex"}'), AT)


CHANGES = [event_message("table", change(number), f"c{number}") for number in (1, 2, 3)]


def run(function: Callable[[Any, Any], Any], *messages: Message) -> Ran:
    return Handler(function, SPEC, "v1").run(run_of(*messages), lambda: None)


class TestGrouping:
    def test_plain_messages_are_one_invocation_with_records(self) -> None:
        seen: list[Any] = []
        ran = run(lambda event, context: seen.append((event, context.aws_request_id)), *PLAIN)
        ((event, request_id),) = seen
        assert [record["messageId"] for record in event["Records"]] == ["m1", "m2", "m3"]
        assert [record["receiptHandle"] for record in event["Records"]] == ["receipt-m1", "receipt-m2", "receipt-m3"]
        assert request_id == "req-1"
        assert (ran.values, ran.failures, ran.failure) == ([b"null"] * 3, {}, None)

    def test_changes_of_a_table_are_one_invocation(self) -> None:
        seen: list[Any] = []
        run(lambda event, _: seen.extend(event["Records"]), *CHANGES)
        assert [record["eventName"] for record in seen] == ["INSERT"] * 3
        assert seen[0]["dynamodb"]["NewImage"] == {"id": {"S": "rex"}}
        assert "OldImage" not in seen[0]["dynamodb"]
        assert seen[0]["dynamodb"]["SizeBytes"] == len(b'{"id":"rex"}')

    @pytest.mark.parametrize(
        ("kind", "body", "is_it"),
        [
            ("http", REQUEST, lambda event: event["version"] == "2.0"),
            ("schedule", TICK, lambda event: event["detail-type"] == "Scheduled Event"),
            ("bucket", ObjectChange("created", "b", "k", 1, "e", AT), lambda e: e["Records"][0]["s3"]["object"]),
            ("push", Push("s", "1", b"x", {}, AT), lambda event: event["message"]["messageId"] == "1"),
            ("topic", Published("t", "1", "x", AT), lambda event: event["Records"][0]["Sns"]["Message"] == "x"),
            ("bus", BusPost("b", "1", "s", "t", msgspec.Raw(b"{}"), AT), lambda event: event["detail-type"] == "t"),
            ("raw", {"any": ["thing"]}, lambda event: event == {"any": ["thing"]}),
        ],
    )
    def test_every_other_event_is_an_invocation_of_its_own(
        self, kind: str, body: Any, is_it: Callable[[Any], Any]
    ) -> None:
        ran = run(lambda event, context: [bool(is_it(event)), context.aws_request_id], *[event_message(kind, body)] * 2)
        assert ran.values == [b'[true,"req-1"]', b'[true,"req-1-1"]']

    def test_the_payload_of_a_request_is_the_one_configured(self) -> None:
        message = event_message("http", REQUEST, **{"millrace-payload": "v1"})
        assert run(lambda event, _: event["httpMethod"], message).values == [b'"GET"']

    def test_a_mixed_run_keeps_the_order(self) -> None:
        tick = event_message("schedule", TICK, "t")
        mixed = [PLAIN[0], PLAIN[1], tick, CHANGES[0], CHANGES[1], PLAIN[2], tick, tick]
        calls = list(invocations(run_of(*mixed)))
        assert [(call.shape, list(call.places)) for call in calls] == [
            ("queue", [0, 1]),
            ("single", [2]),
            ("stream", [3, 4]),
            ("queue", [5]),
            ("single", [6]),
            ("single", [7]),
        ]
        assert len({call.request_id for call in calls}) == len(calls)

    @given(st.lists(st.sampled_from([PLAIN[0], CHANGES[0], event_message("schedule", TICK)])))
    def test_every_message_is_in_exactly_one_invocation(self, messages: list[Message]) -> None:
        batch = run_of(*messages)
        calls = list(invocations(batch))
        assert [place for call in calls for place in call.places] == list(range(len(messages)))
        for call in calls:
            event, identifiers = event_of(call, batch, SPEC, AT)
            assert len(identifiers) == (0 if call.shape == "single" else len(call.places))
            assert event

    def test_a_context_comes_with_each_invocation(self) -> None:
        seen: list[Any] = []
        run(lambda _, context: seen.append(context), PLAIN[0])
        assert seen[0].function_name == "resize"
        assert 0 < seen[0].get_remaining_time_in_millis() <= 3000

    def test_what_is_printed_belongs_to_the_messages_of_the_invocation(self) -> None:
        seen: list[Any] = []
        run(lambda *_: seen.append(working.get()), PLAIN[0], PLAIN[1], event_message("schedule", TICK, "t"))
        assert [(work.request_id, work.message_ids) for work in seen] == [("req-1", ("m1", "m2")), ("req-1-1", ("t",))]

    def test_the_time_limit_began_with_the_run_and_nobody_need_be_told(self) -> None:
        order: list[str] = []
        handler = Handler(lambda *_: order.append("called"), SPEC, "v1")
        handler.ahead(run_of(*PLAIN))
        handler.run(run_of(PLAIN[0], CHANGES[0]), lambda: order.append("began"))
        assert order == ["called", "called"]


def raises(error: BaseException) -> Callable[[Any, Any], Any]:
    def function(event: Any, context: Any) -> Any:
        raise error

    return function


class TestFailures:
    def test_an_exception_of_several_records_is_for_the_parent_to_bisect(self) -> None:
        ran = run(raises(ValueError("bad")), *PLAIN)
        assert (ran.values, ran.failures) == ([], {})
        assert ran.failure is not None
        assert (ran.failure.type, ran.failure.message) == ("ValueError", "bad")
        assert "test_handler_contract.py" in ran.failure.traceback

    def test_an_exception_of_one_record_is_that_records(self) -> None:
        ran = run(raises(KeyError("x")), PLAIN[0])
        assert ran.failure is None
        assert ran.values == [None]
        assert ran.failures[0].type == "KeyError"

    def test_one_invocation_of_several_fails_alone(self) -> None:
        def function(event: Any, context: Any) -> Any:
            if "Records" in event:
                raise ValueError("records")
            return {"ok": True}

        ran = run(function, PLAIN[0], PLAIN[1], event_message("schedule", TICK))
        assert ran.values == [None, None, b'{"ok":true}']
        assert {place: failure.type for place, failure in ran.failures.items()} == {0: "ValueError", 1: "ValueError"}

    def test_user_code_may_ask_for_a_retry_or_give_up(self) -> None:
        retry = run(raises(Retry("later", after=9)), PLAIN[0]).failures[0]
        dead = run(raises(Dead("never")), PLAIN[0]).failures[0]
        assert (retry.retry, retry.after_s, dead.retry) == (True, 9, False)

    @pytest.mark.parametrize(
        ("code", "text"), [(None, "providing a reason"), (3, "status 3"), (-1, "status 255"), ("x", "status 1")]
    )
    def test_an_exit_is_lambdas_exit_error(self, code: Any, text: str) -> None:
        failure = run(raises(SystemExit(code)), PLAIN[0]).failures[0]
        assert failure.type == "Runtime.ExitError"
        assert failure.message.startswith("RequestId: req-1 Error: ")
        assert failure.message.endswith(text)

    def test_a_result_that_json_cannot_hold_is_named(self) -> None:
        failure = run(lambda *_: {"seen": {1, 2}}, event_message("schedule", TICK)).failures[0]
        assert failure.type == "Runtime.MarshalError"
        assert "$.seen: set is not JSON" in failure.message

    @pytest.mark.parametrize(
        "message",
        [
            event_message("http", {"no": "request"}),
            event_message("cron", {}),
            Message("m", b"\xff{", {"millrace-event": "raw"}, AT),
        ],
    )
    def test_a_message_that_is_not_what_it_says_fails_without_a_call(self, message: Message) -> None:
        ran = run(raises(AssertionError("called")), message)
        assert ran.failures[0].type == "Runtime.UnmarshalError"
        assert "m" in ran.failures[0].message


def answers(*identifiers: Any) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


class TestPartialBatchResponse:
    @pytest.mark.parametrize(
        "result",
        [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, {"statusCode": 200}, "done", 7, [1]],
        ids=repr,
    )
    def test_complete_success(self, result: Any) -> None:
        ran = run(lambda *_: result, *PLAIN)
        assert (ran.values, ran.failures) == ([b"null"] * 3, {})

    def test_the_named_records_fail_and_the_others_are_done(self) -> None:
        ran = run(lambda *_: answers("m2"), *PLAIN)
        assert ran.values == [b"null", None, b"null"]
        assert {place: failure.type for place, failure in ran.failures.items()} == {1: "BatchItemFailure"}

    @pytest.mark.parametrize(
        ("result", "text"),
        [
            (answers("m1", "unknown"), "'unknown'"),
            (answers(""), "got ''"),
            (answers(None), "got None"),
            (answers(["m1"]), "got ['m1']"),
            ({"batchItemFailures": [{"messageId": "m1"}]}, "itemIdentifier"),
            ({"batchItemFailures": ["m1"]}, "itemIdentifier"),
            ({"batchItemFailures": {"itemIdentifier": "m1"}}, "to be a list, got dict"),
            ({"batchItemFailures": "m1"}, "to be a list, got str"),
            ({"batchItemFailures": ""}, "to be a list, got str"),
            ({"batchItemFailures": {}}, "to be a list, got dict"),
        ],
        ids=repr,
    )
    def test_complete_failure(self, result: Any, text: str) -> None:
        ran = run(lambda *_: result, *PLAIN)
        assert ran.failure is None
        assert ran.values == [None] * 3
        assert {failure.type for failure in ran.failures.values()} == {"BatchResponseError"}
        assert all(text in failure.message for failure in ran.failures.values())

    def test_an_answer_does_not_count_where_it_is_not_asked_for(self) -> None:
        whole = msgspec.structs.replace(run_of(*PLAIN), partial=False)
        ran = Handler(lambda *_: answers("m2", "unknown"), SPEC, "v1").run(whole, lambda: None)
        assert (ran.values, ran.failures) == ([b"null"] * 3, {})

    def test_a_stream_is_read_again_from_the_lowest_failure_on(self) -> None:
        def function(event: Any, context: Any) -> Any:
            numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
            return answers(numbers[1])

        ran = run(function, *CHANGES)
        assert ran.values == [b"null", None, None]
        assert sorted(ran.failures) == [1, 2]
        assert "earlier record" in ran.failures[2].message

    @given(st.integers(1, 20), st.data())
    def test_failures_are_what_was_named(self, size: int, data: st.DataObject) -> None:
        identifiers = [f"id{number}" for number in range(size)]
        named = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
        result = answers(*[identifiers[place] for place in named])
        assert set(reported(result, identifiers, stream=False)) == named
        assert set(reported(result, identifiers, stream=True)) == set(range(min(named), size))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(project: Path, target: str, source: str) -> Handler:
    path = project / Path(*target.replace("/", ".").split(".")[:-1]).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return contract.load(msgspec.structs.replace(SPEC, target=target, root=str(project)))


class TestLoad:
    def test_the_function_is_found_with_its_version(self, project: Path) -> None:
        handler = load(project, "handler_one.main", "__version__ = '7'\ndef main(event, context): return 'hi'\n")
        assert handler.version == "7"
        assert handler.run(run_of(event_message("raw", 1)), lambda: None).values == [b'"hi"']

    def test_a_path_with_a_slash_is_what_serverless_projects_write(self, project: Path) -> None:
        handler = load(project, "handler_src/two.main", "def main(event, context): return event\n")
        assert handler.run(run_of(event_message("raw", [1])), lambda: None).values == [b"[1]"]

    def test_events_are_of_the_region_of_the_environment(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_REGION", "sa-east-1")
        handler = load(project, "handler_four.main", "def main(event, context): return event['region']\n")
        assert handler.run(run_of(event_message("schedule", TICK)), lambda: None).values == [b'"sa-east-1"']

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("main = 7\n", "expected a function of (event, context)"),
            ("async def main(event, context): pass\n", "handlers are plain functions"),
            ("def mian(event, context): pass\n", "did you mean mian?"),
        ],
    )
    def test_what_is_no_handler_is_refused(self, project: Path, source: str, text: str) -> None:
        with pytest.raises(LoadError) as caught:
            load(project, "handler_three.main", source)
        assert text in str(caught.value)


def test_a_run_without_messages_is_no_call() -> None:
    assert Handler(raises(AssertionError()), SPEC, "").run(Run(1, "r", "q", [], [], []), lambda: None).values == []
