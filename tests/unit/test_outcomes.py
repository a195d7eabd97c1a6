"""What becomes of each message."""

import pytest

from millrace.config.schema import Sink
from millrace.flow.outcomes import Decider, Rules
from millrace.flow.sinks import Sinks
from millrace.testing import ManualClock
from millrace.types import Failure, Lease, Message, Outcome

BAD = Failure("PIL.UnidentifiedImageError", "cannot identify", mro=("builtins.OSError", "builtins.Exception"))


def lease(id: str = "m", attempt: int = 1, group: str = "", first_failed_at: float = 0.0) -> Lease:
    return Lease("q", Message(id, b"", {}, 1.0, group), id, attempt, 0.0, first_failed_at)


def decide(results, leases=None, held=None, jitter=lambda: 1.0, **rules) -> list[Outcome]:
    sinks = Sinks("f", [Sink(table="t")], {"t": ["id"]})
    decider = Decider("f", Rules(**{"max_receives": 3} | rules), sinks, ManualClock(), jitter=jitter)
    leases = leases or [lease(str(i)) for i in range(len(results))]
    return decider.decide(leases, results, version="v1", started_at=2.0, held=set() if held is None else held)


def test_a_value_is_done_with_its_effects_and_a_record() -> None:
    (outcome,) = decide([b'{"a":1}'])
    assert outcome.verdict == "done"
    assert [row.key for row in outcome.rows] == ["0"]
    record = outcome.record
    assert record is not None
    assert (record.state, bytes(record.value or b""), record.version, record.function) == (
        "done",
        b'{"a":1}',
        "v1",
        "f",
    )
    assert (record.accepted_at, record.started_at, record.attempts) == (1.0, 2.0, 1)


def test_a_failure_is_retried_after_base_times_two_to_the_n_with_full_jitter() -> None:
    delays = [decide([BAD], [lease(attempt=n)], max_receives=99, base_s=2.0)[0].delay_s for n in (1, 2, 3, 90)]
    assert delays == [2.0, 4.0, 8.0, 300.0]
    assert decide([BAD], jitter=lambda: 0.25, base_s=2.0)[0].delay_s == 0.5


def test_the_last_attempt_is_a_dead_letter_that_says_everything() -> None:
    (outcome,) = decide([BAD], [lease(attempt=3, first_failed_at=7.0)])
    death = outcome.death
    assert outcome.verdict == "dead"
    assert death is not None
    assert (death.reason, death.failure, death.attempts, death.first_failed_at) == ("failed", BAD, 3, 7.0)
    assert (death.function, death.version, death.queue) == ("f", "v1", "q")
    assert outcome.record is not None
    assert outcome.record.state == "dead"
    assert outcome.rows == ()


@pytest.mark.parametrize(
    ("failure", "rules", "verdict"),
    [
        (BAD, {"dead_on": ("PIL.UnidentifiedImageError",)}, "dead"),
        (BAD, {"dead_on": ("OSError",)}, "dead"),
        (BAD, {"dead_on": ("ValueError",)}, "retry"),
        (BAD, {"retry_on": ("OSError",)}, "retry"),
        (BAD, {"retry_on": ("ValueError",)}, "dead"),
        (Failure("requests.exceptions.Timeout", ""), {"dead_on": ("requests.Timeout",)}, "dead"),
        (Failure("x.Y", "", retry=False), {}, "dead"),
        (Failure("x.Y", "", retry=True), {"dead_on": ("x.Y",)}, "retry"),
        (Failure("x.Y", "", retry=True), {"max_receives": 1}, "dead"),
    ],
)
def test_the_codes_own_word_then_the_rules_then_the_count(failure: Failure, rules: dict, verdict: str) -> None:
    assert decide([failure], **rules)[0].verdict == verdict


def test_retry_after_is_obeyed() -> None:
    assert decide([Failure("millrace.Retry", "", retry=True, after_s=42.0)])[0].delay_s == 42.0


def test_within_a_group_what_follows_a_retry_is_given_back() -> None:
    leases = [lease("1", group="g"), lease("2", group="h"), lease("3", group="g"), lease("4", attempt=3, group="h")]
    held: set[str] = set()
    verdicts = [o.verdict for o in decide([BAD, b"1", b"1", BAD], leases, held)]
    assert verdicts == ["retry", "done", "release", "dead"]
    assert held == {"g"}
    assert decide([b"1"], [lease("5", group="g")], held)[0].verdict == "release"


def test_without_groups_nothing_is_held() -> None:
    assert [o.verdict for o in decide([BAD, b"1"])] == ["retry", "done"]


def test_without_groups_a_fifo_queue_is_one_line() -> None:
    held: set[str] = set()
    assert [o.verdict for o in decide([BAD, b"1"], held=held, fifo=True)] == ["retry", "release"]
    assert held == {""}
    assert [o.verdict for o in decide([BAD, b"1"], fifo=True, hold=False)] == ["retry", "done"]


@pytest.mark.parametrize(("attempt", "verdict"), [(1, "retry"), (3, "dead")])
def test_a_result_that_could_not_be_written_is_a_failure(attempt: int, verdict: str) -> None:
    decider = Decider("f", Rules(max_receives=3), Sinks("f", [], {}), ManualClock())
    (done,) = decider.decide([lease(attempt=attempt)], [b"1"], version="v", started_at=0.0, held=set())
    assert decider.refused(done, Failure("StorageFull", "no space")).verdict == verdict


def test_a_calls_failure_is_its_answer() -> None:
    (outcome,) = decide([Failure("x.Y", "", retry=True)], call=True)
    assert (outcome.verdict, outcome.death) == ("done", None)
    assert outcome.record is not None
    assert (outcome.record.state, outcome.record.failure) == ("dead", Failure("x.Y", "", retry=True))
