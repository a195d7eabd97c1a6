"""What moto sends to queues and functions, as messages for our broker."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from millrace.aws import attributes as typed
from millrace.config.schema import Project
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
from millrace.types import JSON, Message, Put
from millrace.wire import Spec

_GROUP = "default"  # of what reaches a FIFO queue without a group


class Receivers:
    """The project's queues and functions, by the names and ARNs that AWS's callers use."""

    def __init__(self, project: Project) -> None:
        if project.aws is None:
            raise ValueError("a project without aws: receives nothing from AWS")
        self._project = project
        self._names = {config.name or name: name for name, config in project.functions.items()}
        here = Spec("", "handler", "", "", 0.0, 0, 0, service=project.service, stage=project.stage)
        self.here = msgspec.structs.replace(here, region=project.aws.region, account=project.aws.account)

    def arn(self, function: str) -> str:
        """The ARN of a function by its name in the project file."""
        name = self._project.functions[function].name or function
        return f"arn:aws:lambda:{self.here.region}:{self.here.account}:function:{name}"

    def find(self, arn: str) -> str | None:
        """The function of a name or an ARN, with or without a qualifier; None for somebody else's."""
        parts = arn.split(":")
        name = parts[6] if len(parts) > 6 else parts[0]
        return self._names.get(name) or (name if name in self._project.functions else None)

    def to_queue(
        self,
        queue: str,
        body: bytes,
        attributes: Mapping[str, typed.Attribute] | None = None,
        *,
        group: str = "",
        dedupe: str = "",
    ) -> Put:
        """A message for a queue, with the group and deduplication id that a FIFO queue needs."""
        carried = typed.write(attributes or {})
        config = self._project.queues.get(queue)
        if not (config.fifo if config else queue.endswith(".fifo")):
            return Put(queue, Message(str(uuid.uuid4()), body, carried, time.time()))
        dedupe = dedupe or hashlib.sha256(body).hexdigest()
        carried[typed.DEDUPE_ATTRIBUTE] = dedupe
        return Put(queue, Message(str(uuid.uuid4()), body, carried, time.time(), group or _GROUP), dedupe=dedupe)

    def to_function(self, function: str, event: Any, kind: str = RAW_EVENT) -> Put:
        """An asynchronous call: `event` is the handler's whole event (bytes are JSON), or the struct of a `kind`."""
        body = event if isinstance(event, bytes) else msgspec.json.encode(event)
        message = Message(str(uuid.uuid4()), body, {EVENT_ATTRIBUTE: kind, "content-type": JSON}, time.time())
        return Put(self._project.inbox(function), message)
