"""Who is to blame when a batch fails as a whole: halve it on a replica of its own until the culprit is alone.

All of it happens within the leases of the batch, so that the others never see a second attempt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from millrace.flow.outcomes import Result
from millrace.flow.replicas import Lost
from millrace.types import Failure, Lease
from millrace.wire import Ran


class Attempt(Protocol):
    """Runs leases once in a replica; alone: with nothing else inside that replica."""

    def __call__(self, leases: Sequence[Lease], *, alone: bool) -> Awaitable[Ran | Lost]: ...


Part = tuple[Sequence[Lease], Sequence[Result]]
Waits = Callable[[Lease], bool]


def _never(lease: Lease) -> bool:
    return False


async def results(
    leases: Sequence[Lease], attempt: Attempt, *, alone: bool = False, bisect: bool = True, waits: Waits = _never
) -> AsyncIterator[Part]:
    """Run leases; yield each part of them with its results as soon as they are certain.

    Without `bisect` all leases of a batch that failed as a whole are to blame, as on Lambda. What `waits` for a message
    of a part before it is not run again, and whatever is said of it counts for nothing.
    """
    answer = await attempt(leases, alone=alone)
    if isinstance(answer, Lost):
        if not answer.alone:
            # Another batch was inside the replica that died: run this one by itself before blaming it.
            async for part in results(leases, attempt, alone=True, bisect=bisect, waits=waits):
                yield part
            return
        refused: dict[int, Failure] = {}
        failure = answer.failure
    elif answer.failure is None:
        yield leases, _zipped(answer)
        return
    else:
        refused, failure = answer.failures, answer.failure
    if not bisect:
        yield leases, [refused.get(index, failure) for index in range(len(leases))]
        return
    if refused:
        yield [leases[i] for i in refused], list(refused.values())
    suspects = [lease for i, lease in enumerate(leases) if i not in refused]
    async for part in _halved(suspects, failure, attempt, waits):
        yield part


async def _halved(suspects: Sequence[Lease], failure: Failure, attempt: Attempt, waits: Waits) -> AsyncIterator[Part]:
    if len(suspects) == 1:
        yield suspects, [failure]
        return
    middle = len(suspects) // 2
    for half in (suspects[:middle], suspects[middle:]):
        held = [lease for lease in half if waits(lease)]
        left = [lease for lease in half if not waits(lease)] if held else half
        if held:
            yield held, [failure] * len(held)
        if left:
            async for part in results(left, attempt, alone=True, waits=waits):
                yield part


def _zipped(ran: Ran) -> Sequence[Result]:
    if not ran.failures:
        return ran.values  # type: ignore[return-value]  # no failures: every value is bytes
    return [ran.failures[i] if value is None else value for i, value in enumerate(ran.values)]
