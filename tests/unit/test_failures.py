"""What a function's log says of messages that failed."""

from __future__ import annotations

from millrace.flow.failures import failure_lines
from millrace.types import Failure, Lease, Message, Outcome

BROKEN = Failure("ValueError", "no face", "Traceback (most recent call last):\n  in predict\nValueError: no face")


def lease(id: str, attempt: int = 1) -> Lease:
    return Lease("q", Message(id, b""), id, attempt, 30.0)


def told(*each: tuple[str, bytes | Failure, str]) -> list[tuple[str, tuple[str, ...], str]]:
    leases = [lease(id, 2) for id, _, _ in each]
    outcomes = [Outcome(one, verdict) for one, (_, _, verdict) in zip(leases, each, strict=True)]
    lines = failure_lines(leases, [result for _, result, _ in each], outcomes, request_id="r", at=5.0)
    return [(line.stream, line.message_ids, line.text) for line in lines]


def test_success_is_not_told() -> None:
    assert told(("a", b"1", "done"), ("b", BROKEN, "release")) == []


def test_a_retry_is_one_line_and_a_death_has_the_traceback() -> None:
    assert told(("a", BROKEN, "retry"), ("b", BROKEN, "dead")) == [
        ("WARNING", ("a",), "message a failed and will be tried again (try 2): ValueError: no face"),
        (
            "ERROR",
            ("b",),
            "message b died (try 2): ValueError: no face\nTraceback (most recent call last):\n  in predict",
        ),
    ]


def test_what_failed_alike_is_told_at_once() -> None:
    odd = Failure("Timeout", "")
    assert told(("a", BROKEN, "retry"), ("b", odd, "dead"), ("c", BROKEN, "retry"), ("d", b"1", "done")) == [
        ("WARNING", ("a", "c"), "2 messages failed and will be tried again (try 2): ValueError: no face"),
        ("ERROR", ("b",), "message b died (try 2): Timeout"),
    ]


def test_a_call_that_failed_has_failed_for_good() -> None:
    ((level, _, text),) = told(("a", Failure("ValueError", "no"), "done"))
    assert (level, text) == ("ERROR", "call a failed: ValueError: no")
