"""What is asked of a NATS server, what it answers, and how that can fail: the values that the link deals in."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from millrace.errors import BrokerError

OnReply = Callable[[bytes, bytes, bytes, bytes], None]
"""Called with the reply's own part of the inbox, its reply subject, the header block and the body."""


class Cut(BrokerError):
    """The connection was lost; what was asked may or may not have been done."""


class Silent(BrokerError):
    """No answer came; what was asked may or may not have been done."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """What is published to a subject that somebody answers; must be such that asking twice is asking once."""

    subject: str
    body: bytes = b""
    head: bytes = b""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came back; `repeated` where a lost connection made us ask twice."""

    head: bytes
    body: bytes
    repeated: bool = False


class Inbox:
    """Where the replies to one question arrive, in any number; `on_cut` is called when no more can come."""

    def __init__(self, subject: str, on_reply: OnReply, on_cut: Callable[[], None]) -> None:
        self.subject = subject
        self.on_reply = on_reply
        self.on_cut = on_cut
        self.sid = 0  # of its own subscription, 0 where it shares the one of all
