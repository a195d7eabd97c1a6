"""Limits that must fit together: a function's timeout in its queue's lease, all replicas' memory in the machine's."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.config.events import HttpEvent
from millrace.config.findings import Finding
from millrace.config.schema import Project
from millrace.config.units import format_bytes, format_seconds

# Measured with Python 3.11 on Linux: a replica that has imported nothing is resident with 22 MB, one with boto3 and
# three of its clients with 55 MB. So the smallest function of Lambda, 128 MB, fits.
_BARE_BYTES = 32 << 20
_WITH_SDK_BYTES = 64 << 20
_GATEWAY_TIMEOUT_S = 30  # of an HTTP API; a REST API's is 29 unless its account was granted more


def check_limits(project: Project, machine_bytes: int | None) -> Iterator[Finding]:
    """Findings about time and memory, with the arithmetic."""
    yield from _check_leases(project)
    yield from _check_gateway(project)
    yield from _check_least_memory(project)
    if machine_bytes is not None:
        yield from _check_memory(project, machine_bytes)


def _check_leases(project: Project) -> Iterator[Finding]:
    queues = project.queues  # an inbox that is not declared has a lease that outlasts its function
    for name, function in project.functions.items():
        for queue in project.queues_of(name):
            lease = queues[queue].lease if queue in queues else None
            if lease is None:
                continue
            if function.timeout > lease:
                timeout, held = format_seconds(function.timeout), format_seconds(lease)
                what = f"functions.{name}: its timeout of {timeout} is longer than the {held} lease of queue {queue!r}"
                own_words = " (SQS: VisibilityTimeout)" if project.aws is not None else ""
                expected = f"timeout: {held} or less, or queues.{queue}.lease{own_words}: {timeout} or more"
                yield Finding(("functions", name, "timeout"), what, expected)
            elif function.batch.wait >= lease:
                what = f"functions.{name}: batches wait {format_seconds(function.batch.wait)}, as long as leases last"
                expected = f"batch.wait below the {format_seconds(lease)} lease of queue {queue!r}"
                yield Finding(("functions", name, "batch", "wait"), what, expected, severity="warning")


def _check_gateway(project: Project) -> Iterator[Finding]:
    """Here a call may take as long as its function; behind API Gateway it may not."""
    for name, function in project.functions.items():
        called = any(isinstance(event, HttpEvent) for event in function.events)
        if project.aws is not None and called and function.timeout > _GATEWAY_TIMEOUT_S:
            what = f"functions.{name}: API Gateway answers 504 after 30 s, however long the function may take"
            expected = "long work in a function that a queue triggers"
            got = format_seconds(function.timeout)
            yield Finding(("functions", name, "timeout"), what, expected, got, severity="warning")


def _check_least_memory(project: Project) -> Iterator[Finding]:
    for name, function in project.functions.items():
        least, what_for = (_WITH_SDK_BYTES, "with boto3") if function.kind != "model" else (_BARE_BYTES, "alone")
        if function.memory is not None and function.memory < least:
            limit = format_bytes(function.memory)
            what = (
                f"functions.{name}: a Python process {what_for} takes about its limit of {limit}, and would be killed"
            )
            yield Finding(("functions", name, "memory"), what, f"{format_bytes(least)} or more", severity="warning")


def _check_memory(project: Project, machine_bytes: int) -> Iterator[Finding]:
    limited = [(name, each.replicas, each.memory) for name, each in project.functions.items() if each.memory]
    total = sum(replicas * memory for _, replicas, memory in limited)
    if total <= machine_bytes:
        return
    terms = " + ".join(f"{replicas} x {format_bytes(memory)} ({name})" for name, replicas, memory in limited)
    biggest = max(limited, key=lambda each: each[1] * each[2])[0]
    what = f"replicas may take {terms} = {format_bytes(total)}; this machine has {format_bytes(machine_bytes)}"
    expected = "fewer replicas or a lower memory limit"
    yield Finding(("functions", biggest, "memory"), what, expected, severity="warning")
