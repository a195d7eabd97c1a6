"""The batches that wait for a replica, and which replica each of them gets."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from millrace.aws import errors as lambda_errors
from millrace.errors import Draining
from millrace.flow.replica import Replica
from millrace.flow.request import Lost, Request
from millrace.flow.seat import Seat
from millrace.types import Failure

_TOGETHER = 8  # that may stand in a replica which is through with each in a moment


class WaitingLine:
    """Requests in the order of their coming; `depth` is how many a replica takes at once.

    Once it is closed it refuses all that stand in it, and all that are put back.
    """

    def __init__(self, function: str, seats: Sequence[Seat], depth: int) -> None:
        self.closed = False
        self._function = function
        self._seats = seats
        self._depth = depth
        self._requests: deque[Request] = deque()

    def __contains__(self, request: Request) -> bool:
        return request in self._requests

    @property
    def quick(self) -> bool:
        """Whether calls may stand behind others inside: the only replica is through with each in a moment."""
        replica = self._seats[0].replica if len(self._seats) == 1 else None
        return replica is not None and replica.quick

    def add(self, request: Request) -> None:
        """The last in the line."""
        self._requests.append(request)

    def put_back(self, requests: Sequence[Request]) -> None:
        """Requests that were inside already, in front of all others."""
        self._requests.extendleft(reversed(requests))
        if self.closed:
            self.close()

    def remove(self, request: Request) -> None:
        """Out of the line, wherever it stands."""
        self._requests.remove(request)

    def refuse(self, request: Request) -> None:
        """Turn one away, if it still stands in the line."""
        if request in self._requests:
            self.remove(request)
            request.refuse(self.refusal())

    def close(self) -> None:
        """Turn all away."""
        self.closed = True
        while self._requests:
            self._requests.popleft().refuse(self.refusal())

    def refusal(self) -> Draining:
        """What is told those who are turned away."""
        return Draining(f"the replicas of {self._function} are shutting down")

    def assign(self) -> None:
        """Give waiting batches to replicas, first come first served.

        One that must be alone and finds no idle replica holds the emptiest for itself, and those behind it use the
        others: so it neither starves nor stops the rest.
        """
        if not self._requests:
            return
        held: list[Replica] = []
        kept: list[Request] = []
        while self._requests:
            request = self._requests.popleft()
            if request.answer.done():
                continue  # cancelled
            replica = self._emptiest(held, request)
            if replica is None and request.impatient and (failure := self._load_failure()) is not None:
                request.finish(Lost(lambda_errors.of_request(failure, request.run.request_id), alone=True))
                continue
            if replica is None:
                self._requests.appendleft(request)
                break
            if request.alone and replica.inside:
                held.append(replica)
                kept.append(request)
            elif not replica.give(request):
                self._requests.appendleft(request)
        self._requests.extendleft(reversed(kept))

    def _load_failure(self) -> Failure | None:
        """Why the function cannot be loaded, None while a replica still may."""
        for seat in self._seats:
            if seat.state not in ("failed", "stopped"):
                return None
        return next((seat.failure for seat in self._seats if seat.state == "failed"), None)

    def _emptiest(self, held: list[Replica], request: Request) -> Replica | None:
        found, fewest = None, _TOGETHER if request.ahead and self.quick else self._depth
        for seat in self._seats:
            replica = seat.replica
            if replica is None or len(replica.inside) >= fewest or not replica.usable or replica in held:
                continue
            if not any(other.alone for other in replica.inside):
                found, fewest = replica, len(replica.inside)
        return found
