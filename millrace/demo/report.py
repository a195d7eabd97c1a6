"""What became of every file: counted from the ids that were accepted and the data that is on disk, not from trust."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from millrace.demo.spoilt import Spoilt
from millrace.types import Death

MIN_ACCURACY = 0.95


class Evidence(msgspec.Struct, frozen=True):
    """Everything that is known when the server has stopped.

    `accepted` pairs ids with file names, one for each 202; `states` are the records by id; `rows` the digits in the
    predictions table by id; `deaths` the dead letters by id; `left` counts messages still in the queue; `settled` is
    how many done and dead the server itself counted; latencies are from accepted to durable.
    """

    accepted: Sequence[tuple[str, str]]
    digits: Mapping[str, int]  # by file name
    spoilt: Sequence[Spoilt]
    states: Mapping[str, str]
    rows: Mapping[str, int]
    deaths: Mapping[str, Death]
    left: int
    settled: int
    latencies_s: Sequence[float]
    elapsed_s: float
    batch_sizes: Mapping[str, int]
    releases: Mapping[str, int]
    killed: Sequence[int]
    exit_code: int


class Report(msgspec.Struct, frozen=True):
    """The counts that the demo prints, and every reason to call it failed."""

    accepted: int
    repeated: int
    done: int
    dead: int
    lost: int
    duplicates: int
    accuracy: float
    images_per_s: float
    p50_ms: float
    p99_ms: float
    deaths: dict[str, str]
    batch_sizes: dict[str, int]
    releases: dict[str, int]
    replicas_killed: int
    faults: list[str]

    @property
    def passed(self) -> bool:
        """Whether there is no reason to call it failed."""
        return not self.faults


def count(evidence: Evidence) -> Report:
    """Count, and judge."""
    ids = {id for id, _ in evidence.accepted}
    names = dict(evidence.accepted)
    done = {id for id in ids if evidence.states.get(id) == "done" and id in evidence.rows}
    dead = ids & evidence.deaths.keys()
    latencies_s = sorted(evidence.latencies_s)
    report = Report(
        accepted=len(ids),
        repeated=len(evidence.accepted) - len(ids),
        done=len(done),
        dead=len(dead),
        lost=len(ids - done - dead),
        duplicates=_duplicates(evidence, done, dead),
        accuracy=_accuracy(evidence, done),
        images_per_s=len(done) / evidence.elapsed_s if evidence.elapsed_s else 0.0,
        p50_ms=percentile(latencies_s, 50) * 1000,
        p99_ms=percentile(latencies_s, 99) * 1000,
        deaths={names[id]: describe(evidence.deaths[id]) for id in sorted(dead, key=names.__getitem__)},
        batch_sizes=dict(evidence.batch_sizes),
        releases=dict(evidence.releases),
        replicas_killed=len(evidence.killed),
        faults=[],
    )
    return msgspec.structs.replace(report, faults=_faults(report, evidence))


def _duplicates(evidence: Evidence, done: set[str], dead: set[str]) -> int:
    """Anything there more often than once: a file under two ids, an id done and dead, rows and settlements too many."""
    ids = {id for id, _ in evidence.accepted}
    names = Counter(name for _, name in {id: (id, name) for id, name in evidence.accepted}.values())
    return (
        sum(names.values())
        - len(names)
        + len(done & dead)
        + len(evidence.rows.keys() - ids)
        + len(evidence.deaths.keys() - ids)
        + max(0, evidence.settled - len(done | dead))
    )


def _accuracy(evidence: Evidence, done: set[str]) -> float:
    """The share of all held-out scans that were read rightly: one without an answer counts as wrong."""
    right = sum(evidence.rows[id] == evidence.digits[name] for id, name in _first(evidence) if id in done)
    return right / len(evidence.digits) if evidence.digits else 0.0


def _first(evidence: Evidence) -> list[tuple[str, str]]:
    """Each scan's first id, the bad files left out."""
    by_name: dict[str, str] = {}
    for id, name in evidence.accepted:
        if name in evidence.digits:
            by_name.setdefault(name, id)
    return [(id, name) for name, id in by_name.items()]


def _faults(report: Report, evidence: Evidence) -> list[str]:
    deaths = {name: evidence.deaths[id] for id, name in evidence.accepted if id in evidence.deaths}
    expected = {each.name for each in evidence.spoilt}
    faults = [f"{each.name}, {each.what}, is not dead" for each in evidence.spoilt if each.name not in deaths]
    for each in evidence.spoilt:
        if each.name in deaths and not each.explains(deaths[each.name]):
            faults.append(f"{each.name} is dead for another reason than {each.type}: {describe(deaths[each.name])}")
    faults += [f"{name} is dead: {describe(deaths[name])}" for name in sorted(deaths.keys() - expected)]
    checks = {
        f"{report.lost} accepted files were lost": report.lost > 0,
        f"{report.duplicates} duplicates": report.duplicates > 0,
        f"{evidence.left} messages are still queued": evidence.left > 0,
        f"accuracy {report.accuracy:.1%} is not above {MIN_ACCURACY:.0%}": report.accuracy <= MIN_ACCURACY,
        "no replica could be killed": not evidence.killed,
        f"millrace up exited with {evidence.exit_code} on SIGTERM": evidence.exit_code != 0,
    }
    return faults + [fault for fault, true in checks.items() if true]


def describe(death: Death) -> str:
    """A dead letter's reason in one line."""
    message = re.sub(r"\s+", " ", death.failure.message)
    tries = f"{death.attempts} {'try' if death.attempts == 1 else 'tries'}"
    return f"{death.failure.type.rpartition('.')[2]}: {message} ({death.reason} after {tries})"


def percentile(ordered: Sequence[float], rank: float) -> float:
    """The nearest-rank percentile of ascending values; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, -(-len(ordered) * int(rank) // 100) - 1)]


def lines(report: Report) -> list[dict[str, str]]:
    """The report as rows of what, value and remark."""
    rows = [
        ("accepted", f"{report.accepted:,}", f"and {report.repeated} repeats, answered with the first one's id"),
        ("done", f"{report.done:,}", "a record and a row in predictions each"),
        ("dead", f"{report.dead:,}", ""),
        *(("", "", f"{name}: {death}") for name, death in report.deaths.items()),
        ("lost", f"{report.lost:,}", ""),
        ("duplicates", f"{report.duplicates:,}", ""),
        ("accuracy", f"{report.accuracy:.1%}", "of the held-out scans"),
        ("images/s", f"{report.images_per_s:,.0f}", "from the first file accepted to the last one read"),
        ("p50", f"{report.p50_ms:,.0f} ms", "from accepted to durable"),
        ("p99", f"{report.p99_ms:,.0f} ms", ""),
        ("replicas killed", f"{report.replicas_killed}", "with SIGKILL, besides those that the bad image ended"),
        ("batch sizes", "", _tally(report.batch_sizes)),
        ("released", "", _tally(report.releases)),
    ]
    return [dict(zip(("what", "value", "remark"), row, strict=True)) for row in rows]


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {number:,}" for name, number in counts.items() if number)
