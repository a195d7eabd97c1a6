"""The event source mappings of a project, as Lambda's API shows them: `queue:` and `table:` events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from millrace.aws.arns import function_arn, function_name, queue_arn
from millrace.aws.endpoint.event_sources import EventSource
from millrace.aws.events.dynamodb import stream_arn
from millrace.config.events import QueueEvent, TableEvent
from millrace.config.schema import Project
from millrace.flow.spec import spec_of

_FOR_EVER = -1


def event_sources(project: Project) -> Iterator[EventSource]:
    """Those of all handlers."""
    for name, function in project.functions.items():
        spec = spec_of(project, name)
        for event in function.events if function.kind != "model" else ():
            if isinstance(event, QueueEvent):
                fifo = event.queue in project.queues and project.queues[event.queue].fifo
                arn, settings = queue_arn(spec, event.queue, fifo=fifo), _of_queue(event)
            elif isinstance(event, TableEvent):
                arn, settings = stream_arn(event.table, spec), _of_stream(event)
            else:
                continue
            batch = event.batch or function.batch
            yield EventSource(
                function_name=function_name(spec),
                function_arn=function_arn(spec),
                source_arn=arn,
                batch_size=batch.size,
                window_s=batch.wait,
                enabled=event.enabled,
                filters=event.filter,
                partial=event.partial,
                settings=settings,
            )


def _of_queue(event: QueueEvent) -> dict[str, Any]:
    return {} if event.concurrency is None else {"ScalingConfig": {"MaximumConcurrency": event.concurrency}}


def _of_stream(event: TableEvent) -> dict[str, Any]:
    return {
        "StartingPosition": {"oldest": "TRIM_HORIZON", "latest": "LATEST"}[event.start],
        "MaximumRetryAttempts": _FOR_EVER if event.tries is None else event.tries,
        "MaximumRecordAgeInSeconds": _FOR_EVER if event.max_age is None else round(event.max_age),
        "BisectBatchOnFunctionError": event.on_error == "bisect",
    }
