"""p50 and p99 from put to handled on RabbitMQ, every library at half of what it can bear.

What a library can bear is measured first, with messages that come as fast as one client can send them. All are fed by
the same client with messages as the library writes them, so that its own producer is no part of the figure.
"""

from __future__ import annotations

from benchmarks.measured import Figure, by_turns, skipped
from benchmarks.workers import contest
from benchmarks.workers.drive import fed
from benchmarks.workers.seen import Handled

SIZE = 200  # bytes
FIELDS = {"p50_ms": "p50", "p99_ms": "p99"}
WHAT = "RabbitMQ, from put to handled at half of the saturation rate, 200 B"


def measure(quick: bool) -> list[Figure]:
    if why := contest.missing():
        return [skipped(f"rabbitmq, {name}", f"{WHAT}: {name}", "at most", None, why) for name in FIELDS.values()]
    repeats, seconds = (1, 3.0) if quick else (3, 8.0)
    libraries = contest.present()
    with contest.server() as url:

        def saturated(library: str) -> Handled:
            return fed(library, url, contest.messages(quick) // 2, SIZE, contest.BEST[library])

        most = {library: runs[0].per_s for library, runs in by_turns(1, libraries, saturated).items()}

        def halfway(library: str) -> Handled:
            rate_per_s = most[library] / 2
            return fed(library, url, int(rate_per_s * seconds), SIZE, contest.BEST[library], rate_per_s)

        runs = by_turns(repeats, libraries, halfway)
    return [figure(field, runs) for field in FIELDS]


def figure(field: str, runs: contest.Runs) -> Figure:
    """Ours in milliseconds, held to nothing; the others' beside it."""
    name = FIELDS[field]
    said = ", ".join(
        f"{contest.TITLES.get(library, library)} {contest.middle(each, field):,.1f} ms"
        f" at {contest.middle(each, 'per_s'):,.0f}/s"
        for library, each in runs.items()
    )
    values = [getattr(run, field) for run in runs[contest.OURS]]
    return Figure(f"rabbitmq, {name}", f"{WHAT}: {name}", values, "at most", None, "ms", said)
