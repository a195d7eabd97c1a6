"""Actions on move tasks: start one, list a queue's, cancel one.

Source: SQS API reference, StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.desk import Desk
from millrace.aws.sqs.errors import SqsError, invalid_value
from millrace.aws.sqs.limits import check_range
from millrace.aws.sqs.queue import SqsQueue
from millrace.aws.sqs.requests import (
    CancelMessageMoveTaskRequest,
    ListMessageMoveTasksRequest,
    StartMessageMoveTaskRequest,
)
from millrace.aws.sqs.results import (
    CancelMessageMoveTaskResult,
    ListMessageMoveTasksResult,
    ListMessageMoveTasksResultEntry,
    StartMessageMoveTaskResult,
)
from millrace.aws.sqs.tasks import MoveTask
from millrace.ids import new_id

_MOST_A_SECOND = 500
_MOST_SHOWN = 10
_MOST_KEPT = 100


async def start_message_move_task(
    desk: Desk, request: StartMessageMoveTaskRequest, call: Call
) -> StartMessageMoveTaskResult:
    """Begin to move what waits in a dead-letter queue back to where it died, or to a queue of choice."""
    check_range(request.max_number_of_messages_per_second, "MaxNumberOfMessagesPerSecond", 1, _MOST_A_SECOND)
    source = _source(desk, request.source_arn)
    target = _target(desk, source, request.destination_arn)
    if not desk.registry.sources(source.name):
        reason = "Source queue must be configured as a Dead Letter Queue."
        raise invalid_value(request.source_arn, "SourceArn", reason)
    stats = await desk.broker.stats(source.name)
    if any(task.active and task.source == source.name for task in desk.moves.values()):
        problem = "There is already a task running. Only one active task is allowed for a source queue arn"
        raise SqsError("UnsupportedOperation", f"{problem} at a given time.")
    per_second, to_move = request.max_number_of_messages_per_second, stats.depth + stats.delayed
    task = MoveTask(_handle(source.name), source.name, target, per_second, desk.clock.now(), to_move)
    desk.moves[task.handle] = task
    for handle in [handle for handle, old in desk.moves.items() if not old.active][:-_MOST_KEPT]:
        del desk.moves[handle]
    desk.begin(task.run(desk.broker, desk.clock))
    return StartMessageMoveTaskResult(task_handle=task.handle)


async def list_message_move_tasks(
    desk: Desk, request: ListMessageMoveTasksRequest, call: Call
) -> ListMessageMoveTasksResult:
    """The latest tasks of a queue, the newest first; one, unless more are asked for."""
    check_range(request.max_results, "MaxResults", 1, _MOST_SHOWN)
    source = _source(desk, request.source_arn)
    tasks = [task for task in reversed(desk.moves.values()) if task.source == source.name]
    found = [_entry(desk, task) for task in tasks[: request.max_results or 1]]
    return ListMessageMoveTasksResult(results=found or None)


async def cancel_message_move_task(
    desk: Desk, request: CancelMessageMoveTaskRequest, call: Call
) -> CancelMessageMoveTaskResult:
    """Stop a task after the step that it is at; what was moved stays moved."""
    task = desk.moves.get(request.task_handle)
    if task is None:
        raise SqsError("ResourceNotFoundException", "Task does not exist.")
    if task.status != "RUNNING":
        raise SqsError("UnsupportedOperation", "Only active tasks can be cancelled.")
    task.status = "CANCELLING"
    return CancelMessageMoveTaskResult(approximate_number_of_messages_moved=task.moved)


def _source(desk: Desk, arn: str) -> SqsQueue:
    found = desk.registry.of_arn(arn)
    if found is None:
        problem = "The resource that you specified for the SourceArn parameter doesn't exist."
        raise SqsError("ResourceNotFoundException", problem)
    return found


def _target(desk: Desk, source: SqsQueue, arn: str | None) -> str | None:
    """The queue that all go to, None where each goes home. Raises SqsError."""
    if arn is None:
        return None
    found = desk.registry.of_arn(arn)
    if found is None:
        problem = "The resource that you specified for the DestinationArn parameter doesn't exist."
        raise SqsError("ResourceNotFoundException", problem)
    if found.name == source.name:
        raise invalid_value(arn, "DestinationArn", "Source queue and destination queue cannot be the same.")
    if found.fifo != source.fifo:
        raise invalid_value(arn, "DestinationArn", "It must be a queue of the same type as the source.")
    return found.name


def _handle(source: str) -> str:
    return urlsafe_b64encode(msgspec.json.encode({"taskId": new_id(), "source": source})).decode()


def _entry(desk: Desk, task: MoveTask) -> ListMessageMoveTasksResultEntry:
    return ListMessageMoveTasksResultEntry(
        task_handle=task.handle if task.active else None,
        status=task.status,
        source_arn=desk.registry.arn(task.source),
        destination_arn=None if task.target is None else desk.registry.arn(task.target),
        max_number_of_messages_per_second=task.per_second,
        approximate_number_of_messages_moved=task.moved,
        approximate_number_of_messages_to_move=task.to_move,
        failure_reason=task.failure or None,
        started_timestamp=int(task.started_at * 1000),
    )
