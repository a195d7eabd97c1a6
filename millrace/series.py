"""Counters and histograms by labels, for code that one event loop runs for every request.

prometheus_client's own take a lock for each number and walk through all buckets; these cost a look-up, and become its
metrics when somebody asks for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]  # values, in the order of the series' label names


class Ahead(Collector):
    """Calls `count` before the series made after this one are read: what follows from others is counted then."""

    def __init__(self, count: Callable[[], None], registry: CollectorRegistry) -> None:
        self._count = count
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Nothing of its own."""
        self._count()
        return iter(())


class Count(Collector):
    """Numbers that only grow, one for each combination of labels that was ever counted."""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._about = (name, text, labels)
        self._values: dict[Labels, float] = {}
        registry.register(self)

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        """Count so many more."""
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def collect(self) -> Iterator[CounterMetricFamily]:
        """All of them as one metric."""
        name, text, labels = self._about
        family = CounterMetricFamily(name, text, labels=labels)
        for values, amount in self._values.items():
            family.add_metric(values, amount)
        yield family


class Spread(Collector):
    """How values spread over buckets, each up to and with its bound, for each combination of labels."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._about = (name, text, labels)
        self._bounds = bounds
        self._texts = [*map(floatToGoString, bounds), "+Inf"]
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        registry.register(self)

    def observe(self, labels: Labels, value: float, times: int = 1) -> None:
        """Note a value, seen so many times."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * len(self._texts)
            self._sums[labels] = 0.0
        counts[bisect_left(self._bounds, value)] += times
        self._sums[labels] += value * times

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """All of them as one metric."""
        name, text, labels = self._about
        family = HistogramMetricFamily(name, text, labels=labels)
        for values, counts in self._counts.items():
            buckets = [*zip(self._texts, accumulate(counts), strict=True)]
            family.add_metric(values, buckets, self._sums[values])
        yield family
