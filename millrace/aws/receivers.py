"""A project's queues and functions as AWS's senders know them, by names and ARNs, and the messages that they get."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from millrace.aws import attributes as typed
from millrace.aws.arns import Location, arn
from millrace.config.aws import AwsConfig
from millrace.config.schema import Project
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
from millrace.types import JSON, Message, Put

_GROUP = "default"  # of what reaches a FIFO queue without a group


class Receivers:
    """Pure: whoever sends puts what comes back, in a transaction of his own."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.location: Location = project.aws or AwsConfig()
        # All of a Zappa project's functions have one name on AWS: the first of them, its application, is meant.
        self._by_name = {each.name or name: name for name, each in reversed(project.functions.items())}

    def arn(self, function: str) -> str:
        """The ARN by which `find` finds a function of the project file again."""
        name = self._project.functions[function].name or function
        unique = name if self._by_name[name] == function else function
        return arn(self.location, "lambda", f"function:{unique}")

    def find(self, arn: str) -> str | None:
        """The function of a name or an ARN, with or without a qualifier; None for somebody else's."""
        parts = arn.split(":")
        name = parts[6] if len(parts) > 6 else parts[0]
        return self._by_name.get(name) or (name if name in self._project.functions else None)

    def queue_put(
        self,
        queue: str,
        body: bytes,
        attributes: Mapping[str, typed.Attribute] | None = None,
        *,
        id: str | None = None,
        at: float | None = None,
        group: str = "",
        dedupe: str = "",
    ) -> Put:
        """A message for a queue, with the group and deduplication id that a FIFO queue needs; sent now unless `at`."""
        id, at = id or str(uuid.uuid4()), time.time() if at is None else at
        carried = typed.write(attributes or {})
        config = self._project.queues.get(queue)
        if not (config.fifo if config else queue.endswith(".fifo")):
            return Put(queue, Message(id, body, carried, at))
        dedupe = dedupe or hashlib.sha256(body).hexdigest()
        carried[typed.DEDUPE_ATTRIBUTE] = dedupe
        return Put(queue, Message(id, body, carried, at, group or _GROUP), dedupe=dedupe)

    def function_put(
        self, function: str, event: Any, kind: str = RAW_EVENT, *, id: str | None = None, at: float | None = None
    ) -> Put:
        """An asynchronous call: `event` is the handler's whole event (bytes are JSON), or the struct of a `kind`."""
        id, at = id or str(uuid.uuid4()), time.time() if at is None else at
        body = event if isinstance(event, bytes) else msgspec.json.encode(event)
        carried = {"content-type": JSON, EVENT_ATTRIBUTE: kind}
        return Put(self._project.inbox(function), Message(id, body, carried, at))
