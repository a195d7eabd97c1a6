"""A batch on its way to a replica's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from millrace.types import Failure
from millrace.wire import Ran, Run


class Lost(msgspec.Struct, frozen=True):
    """The replica died, or was killed for time or memory, with this batch inside.

    `alone`: no other batch can be to blame.
    """

    failure: Failure
    alone: bool


class Answer(Protocol):
    """What a batch's answer goes to, once: a future, or what is like one and costs no turn of the event loop."""

    def done(self) -> bool:
        """Whether it has its answer, or was cancelled."""
        ...

    def set_result(self, result: Ran | Lost, /) -> None:
        """The batch ran, or was lost."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """The batch was turned away."""
        ...

    def cancel(self) -> object:
        """Whoever asked no longer wants it."""
        ...


class Request:
    """A batch on its way to an answer, which may be cancelled by whoever no longer wants it."""

    def __init__(
        self,
        run: Run,
        alone: bool,
        *,
        answer: Answer | None = None,
        impatient: bool = False,
        ahead: bool = False,
        on_began: Callable[[], None] | None = None,
    ) -> None:
        """`impatient`: it fails when the function cannot be loaded, rather than wait until it can.

        `ahead`: it may stand behind others in a handler's replica. Without an `answer` it gets a future.
        """
        self.run = run
        self.alone = alone
        self.impatient = impatient
        self.ahead = ahead
        self.on_began = on_began
        self.answer = answer or asyncio.get_running_loop().create_future()
        self.since = 0.0  # monotonic seconds: at the head of its replica, then predict began
        self.began = False

    def begin(self, now_s: float) -> None:
        """Its time limit counts from `now_s` (monotonic)."""
        self.began = True
        self.since = now_s
        if self.on_began is not None:
            self.on_began()

    def finish(self, answer: Ran | Lost) -> None:
        """Answer whoever asked, unless he no longer waits."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def refuse(self, error: Exception) -> None:
        """Tell whoever asked that there will be no answer, unless he no longer waits."""
        if not self.answer.done():
            self.answer.set_exception(error)
