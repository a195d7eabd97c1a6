"""What the server's own metrics say, for the report and as a check on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Counters(msgspec.Struct, frozen=True):
    """What /metrics said: messages settled for good, a commit's mean seconds, batches by size and why released."""

    settled: int
    commit_s: float
    batch_sizes: dict[str, int]
    releases: dict[str, int]

    @classmethod
    def read(cls, text: str) -> Counters:
        """Read Prometheus's text format."""
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        messages = [sample for sample in samples if sample.name == "millrace_messages_settled_total"]
        settled = sum(int(sample.value) for sample in messages if sample.labels["verdict"] in ("done", "dead"))
        releases = {
            sample.labels["reason"]: int(sample.value) for sample in samples if sample.name == "millrace_batches_total"
        }
        bounds = [
            (sample.labels["le"], int(sample.value))
            for sample in samples
            if sample.name == "millrace_batch_size_bucket"
        ]
        return cls(settled, _mean(samples, "millrace_commit_seconds"), dict(_steps(bounds)), releases)


def _mean(samples: Sequence[Sample], name: str) -> float:
    """The mean of a histogram over all its labels."""
    total = sum(sample.value for sample in samples if sample.name == f"{name}_sum")
    count = sum(sample.value for sample in samples if sample.name == f"{name}_count")
    return total / count if count else 0.0


def _steps(bounds: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """A histogram's cumulative counts as counts of their own, named by range: 1, 2, 3-4, 5-8 and so on."""
    below, before = 0, 0
    for bound, count in bounds:
        if bound == "+Inf":
            name = f"over {below}"
        else:
            name = f"{below + 1}-{int(float(bound))}" if int(float(bound)) > below + 1 else f"{int(float(bound))}"
            below = int(float(bound))
        if count > before:
            yield name, count - before
        before = count
