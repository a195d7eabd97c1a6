"""The demo's count must notice every way in which something can go wrong."""

from __future__ import annotations

import msgspec
import pytest

from millrace.demo.report import Evidence, count, describe, lines, percentile
from millrace.demo.spoilt import spoil
from millrace.types import Death, Failure

PNG = b"\x89PNG\r\n\x1a\n" + bytes(25) + b"\0\0\0\x10IDAT" + bytes(32)
SPOILT = spoil(PNG)


def death(reason: str, type: str, message: str, attempts: int = 1) -> Death:
    return Death(reason, Failure(type, message), "digits", attempts, 1.0, 2.0)  # type: ignore[arg-type]


DEATHS = {
    "id-truncated.png": death("dead", "OSError", "image file is truncated"),
    "id-notes.png": death("dead", "PIL.UnidentifiedImageError", "cannot identify image file <x>"),
    "id-fuse.png": death("failed", "ReplicaDied", "the replica exited with code 86", 3),
}
DIGITS = {f"{number:04d}-{number % 10}.png": number % 10 for number in range(100)}
GOOD = {f"id-{name}": digit for name, digit in DIGITS.items()}


def evidence(**changes: object) -> Evidence:
    names = [*DIGITS, "truncated.png", "notes.png", "fuse.png"]
    whole = Evidence(
        accepted=[(f"id-{name}", name) for name in names],
        digits=DIGITS,
        spoilt=SPOILT,
        states={**dict.fromkeys(GOOD, "done"), **dict.fromkeys(DEATHS, "dead")},
        rows=GOOD,
        deaths=DEATHS,
        left=0,
        settled=103,
        latencies_s=[number / 1000 for number in range(1, 101)],
        elapsed_s=2.0,
        batch_sizes={"1": 3, "17-32": 4},
        releases={"full": 4, "wait": 3},
        killed=[17],
        exit_code=0,
    )
    return msgspec.structs.replace(whole, **changes)


def test_a_clean_run_passes() -> None:
    report = count(evidence())
    assert report.passed, report.faults
    assert (report.accepted, report.done, report.dead, report.lost, report.duplicates) == (103, 100, 3, 0, 0)
    assert report.accuracy == 1.0
    assert report.images_per_s == pytest.approx(50)
    assert (report.p50_ms, report.p99_ms) == (50.0, 99.0)


def test_a_repeat_under_the_same_id_is_no_duplicate() -> None:
    whole = evidence()
    report = count(msgspec.structs.replace(whole, accepted=[*whole.accepted, whole.accepted[0]]))
    assert report.passed
    assert report.repeated == 1


def test_a_repeat_under_another_id_is_a_duplicate() -> None:
    whole = evidence()
    name = next(iter(DIGITS))
    report = count(
        msgspec.structs.replace(
            whole,
            accepted=[*whole.accepted, ("again", name)],
            states={**whole.states, "again": "done"},
            rows={**GOOD, "again": 0},
            settled=104,
        )
    )
    assert report.duplicates == 1
    assert not report.passed


def without(key: str, mapping: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in mapping.items() if name != key}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rows": without("id-0003-3.png", dict(GOOD)), "settled": 102}, "1 accepted files were lost"),
        ({"deaths": without("id-fuse.png", dict(DEATHS)), "settled": 102}, "fuse.png, an image that ends the replica"),
        ({"rows": {**GOOD, "stranger": 1}}, "1 duplicates"),
        ({"settled": 105}, "2 duplicates"),
        ({"deaths": {**DEATHS, "id-0003-3.png": death("failed", "ReplicaDied", "x", 3)}}, "0003-3.png is dead"),
        ({"deaths": {**DEATHS, "id-notes.png": death("dead", "ValueError", "no")}}, "another reason"),
        ({"left": 4}, "4 messages are still queued"),
        ({"killed": []}, "no replica could be killed"),
        ({"exit_code": -9}, "exited with -9"),
        ({"rows": {**GOOD, **{f"id-{name}": 9 for name in list(DIGITS)[:7]}}}, "accuracy 93.0%"),
    ],
)
def test_every_fault_is_found(changes: dict[str, object], fault: str) -> None:
    report = count(evidence(**changes))
    assert any(fault in found for found in report.faults), report.faults


def test_a_death_in_one_line() -> None:
    assert describe(DEATHS["id-fuse.png"]) == "ReplicaDied: the replica exited with code 86 (failed after 3 tries)"


def test_the_lines_of_the_table() -> None:
    rows = {row["what"]: row for row in lines(count(evidence())) if row["what"]}
    assert rows["accepted"]["value"] == "103"
    assert rows["batch sizes"]["remark"] == "1: 3, 17-32: 4"


@pytest.mark.parametrize(("rank", "expected"), [(50, 2.0), (99, 3.0), (1, 1.0)])
def test_percentile_is_the_nearest_rank(rank: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0], rank) == expected
    assert percentile([], rank) == 0.0
