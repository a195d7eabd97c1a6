"""What failed, as lines of the function's log: one for each way in which messages of a batch failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from millrace.flow.hints import hint
from millrace.flow.outcomes import Result
from millrace.types import Failure, Lease, Outcome
from millrace.wire import Line


def failure_lines(
    leases: Sequence[Lease], results: Sequence[Result], outcomes: Sequence[Outcome], *, request_id: str, at: float
) -> Iterator[Line]:
    """Lines that say which messages are tried again and which are dead; the dead with their traceback.

    `at` is Unix seconds. What was given back unstarted is not mentioned.
    """
    alike: dict[tuple[str, str, str], list[tuple[Lease, Failure]]] = defaultdict(list)
    for place, result in enumerate(results):
        if isinstance(result, Failure) and (outcome := outcomes[place]).verdict != "release":
            alike[outcome.verdict, result.type, result.message].append((leases[place], result))
    for (verdict, _, _), members in alike.items():
        (lease, failure), ids = members[0], tuple(lease.message.id for lease, _ in members)
        level = "WARNING" if verdict == "retry" else "ERROR"
        yield Line(level, _text(verdict, ids, lease.attempt, failure), request_id, ids, at)


def _text(verdict: str, ids: Sequence[str], attempt: int, failure: Failure) -> str:
    who = f"message {ids[0]}" if len(ids) == 1 else f"{len(ids)} messages"
    said = f"{failure.type}: {failure.message}" if failure.message else failure.type
    help = f"what to do: {known}" if (known := hint(failure)) else ""
    if verdict == "retry":
        return "\n".join(filter(None, (f"{who} failed and will be tried again (try {attempt}): {said}", help)))
    # A call that failed is done: its caller has the answer, and nothing is tried again.
    first = f"{who} died (try {attempt}): {said}" if verdict == "dead" else f"call {ids[0]} failed: {said}"
    return "\n".join(filter(None, (first, help, failure.traceback.removesuffix(said).rstrip())))
