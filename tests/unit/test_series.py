"""Our counters and histograms say to Prometheus what its library's own say."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

from millrace.series import Count, Spread

BOUNDS = (0.001, 0.5, 10_000)
VALUES = (0.0, 0.001, 0.0011, 0.5, 3.0, 10_000.0, 10_001.0)
NAMES = ("plain", 'with "quotes"\n')


def test_counters_read_as_the_librarys() -> None:
    mine, theirs = CollectorRegistry(), CollectorRegistry()
    count = Count("asked", "How often.", ["route", "status"], mine)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    counter = Counter("asked", "How often.", ["route", "status"], registry=theirs)
    assert generate_latest(mine) == generate_latest(theirs), "before anything was counted"
    for name in NAMES:
        for amount in (1, 2.5):
            count.add((name, "200"), amount)
            counter.labels(name, "200").inc(amount)
    assert generate_latest(mine) == generate_latest(theirs)


def test_histograms_read_as_the_librarys() -> None:
    mine, theirs = CollectorRegistry(), CollectorRegistry()
    spread = Spread("took_seconds", "How long.", ["route"], BOUNDS, mine)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    histogram = Histogram("took_seconds", "How long.", ["route"], buckets=BOUNDS, registry=theirs)
    assert generate_latest(mine) == generate_latest(theirs), "before anything was seen"
    for name in NAMES:
        for value in VALUES:
            spread.observe((name,), value)
            histogram.labels(name).observe(value)
    assert generate_latest(mine) == generate_latest(theirs)
