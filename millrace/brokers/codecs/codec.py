"""Port: one format of bodies. A codec changes body and attributes, never the id, the group or the time of sending."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from millrace.types import Message

CONTENT_TYPE = "content-type"
# What libraries raise for values that a format has no form for: integers beyond 64 bits, a number instead of text.
UNFIT = (ValueError, TypeError, OverflowError, RecursionError)


class Codec(ABC):
    """A format: what functions see becomes what travels, and back."""

    name: str

    @abstractmethod
    def encode(self, message: Message) -> Message:
        """The message as it travels. Raises ValueError, with what was expected, for a body without such a form."""

    @abstractmethod
    def decode(self, message: Message) -> Message:
        """The message as functions see it. Raises ValueError, with what was expected, for another format."""


def carrying(message: Message, body: bytes, content_type: str, **attributes: str) -> Message:
    """The same message with another body of that media type, and with further attributes."""
    described = {**message.attributes, **attributes, CONTENT_TYPE: content_type}
    return msgspec.structs.replace(message, body=body, attributes=described)
