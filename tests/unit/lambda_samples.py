"""A function as a replica knows it, and messages as its tests need them."""

from __future__ import annotations

from typing import Any

import msgspec

from millrace.source import EVENT_ATTRIBUTE
from millrace.types import Message
from millrace.wire import Run, Spec

SPEC = Spec(
    function="resize",
    kind="handler",
    target="app.main",
    root="/srv/app",
    timeout_s=3.0,
    memory_bytes=512 * 2**20,
    threads=1,
    service="pets",
    stage="prod",
    region="eu-west-1",
    account="123456789012",
)
AT = 1_700_000_000.123  # 2023-11-14T22:13:20.123Z


def event_message(kind: str, event: Any, id: str = "m1", **attributes: str) -> Message:
    """A message as a source puts it."""
    body = msgspec.json.encode(event)
    return Message(id, body, {"content-type": "application/json", EVENT_ATTRIBUTE: kind, **attributes}, AT)


def run_of(*messages: Message, queue: str = "images") -> Run:
    """A Run of messages on their first attempt."""
    receipts = [f"receipt-{message.id}" for message in messages]
    return Run(7, "req-1", queue, list(messages), [1] * len(messages), receipts)
