"""Lambda's event source mappings: those of the project file are shown; none is made or changed while it runs.

Source: AWS Lambda API reference, "ListEventSourceMappings", "GetEventSourceMapping", EventSourceMappingConfiguration.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.endpoint.refusal import Refusal, number

_PATH = re.compile(r"/2015-03-31/event-source-mappings(?:/([^/]*))?/?")
_MOST = 100


class EventSource(msgspec.Struct, frozen=True):
    """One of a function's queues or streams; `settings` are the fields that only some kinds have."""

    function_name: str
    function_arn: str
    source_arn: str
    batch_size: int
    window_s: float
    enabled: bool
    filters: Sequence[Mapping[str, Any]] = ()
    partial: bool = True
    settings: Mapping[str, Any] = {}

    @property
    def id(self) -> str:
        """The same at each start."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.function_arn} {self.source_arn}"))


class EventSources:
    """Answers what callers ask about them."""

    def __init__(self, sources: Sequence[EventSource]) -> None:
        self._sources = sorted(sources, key=lambda source: source.id)

    def answer(self, call: Call) -> Any | None:
        """The document of a request about event source mappings, None for any other. Raises Refusal."""
        found = _PATH.fullmatch(call.path)
        if found is None:
            return None
        if call.method != "GET":
            text = "Event source mappings are made by the project file alone: give the function an event there."
            raise Refusal(400, "InvalidParameterValueException", text)
        id = found[1]
        return self._one(id) if id else self._list(parse_qs(call.query))

    def _one(self, id: str) -> dict[str, Any]:
        for source in self._sources:
            if source.id == id:
                return _document(source)
        raise Refusal(404, "ResourceNotFoundException", "The resource you requested does not exist.")

    def _list(self, given: Mapping[str, list[str]]) -> dict[str, Any]:
        function, arn = (given.get(name, [""])[0] for name in ("FunctionName", "EventSourceArn"))
        matching = [
            source
            for source in self._sources
            if (not function or function in (source.function_name, source.function_arn))
            and (not arn or arn == source.source_arn)
        ]
        start, most = number(given, "Marker", 0), min(number(given, "MaxItems", _MOST), _MOST)
        page = [_document(source) for source in matching[start : start + most]]
        rest = {"NextMarker": str(start + most)} if start + most < len(matching) else {}
        return {"EventSourceMappings": page, **rest}


def _document(source: EventSource) -> dict[str, Any]:
    filters = [{"Pattern": msgspec.json.encode(pattern).decode()} for pattern in source.filters]
    return {
        "UUID": source.id,
        "EventSourceArn": source.source_arn,
        "FunctionArn": source.function_arn,
        "BatchSize": source.batch_size,
        "MaximumBatchingWindowInSeconds": round(source.window_s),
        "State": "Enabled" if source.enabled else "Disabled",
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if source.partial else [],
        **({"FilterCriteria": {"Filters": filters}} if filters else {}),
        **source.settings,
    }
