"""Every action of SQS: what it is asked, who does it, and how near it comes to AWS's.

The compatibility page is written from this table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple

from millrace.aws.sqs import moving, permissions, queues, receipts, receiving, requests, sending, settings, tags
from millrace.aws.sqs.requests import Request
from millrace.aws.sqs.results import Result

Do = Callable[..., Awaitable[Result | None]]


class Action(NamedTuple):
    """One action: `do` is called with the desk, the request and the call. `note` says what differs from AWS."""

    request: type[Request]
    do: Do
    support: Literal["yes", "partly"] = "yes"
    note: str = ""


SQS_ACTIONS: Mapping[str, Action] = {
    "AddPermission": Action(
        requests.AddPermissionRequest,
        permissions.add_permission,
        "partly",
        "the policy is kept and shown, but not enforced",
    ),
    "CancelMessageMoveTask": Action(requests.CancelMessageMoveTaskRequest, moving.cancel_message_move_task),
    "ChangeMessageVisibility": Action(
        requests.ChangeMessageVisibilityRequest,
        receipts.change_message_visibility,
        "partly",
        "the 12 hours are counted from the call",
    ),
    "ChangeMessageVisibilityBatch": Action(
        requests.ChangeMessageVisibilityBatchRequest,
        receipts.change_message_visibility_batch,
        "partly",
        "as ChangeMessageVisibility",
    ),
    "CreateQueue": Action(
        requests.CreateQueueRequest,
        queues.create_queue,
        "partly",
        "a deleted name can be used again at once; keys of KMS are kept and shown, bodies lie as they are",
    ),
    "DeleteMessage": Action(requests.DeleteMessageRequest, receipts.delete_message),
    "DeleteMessageBatch": Action(requests.DeleteMessageBatchRequest, receipts.delete_message_batch),
    "DeleteQueue": Action(
        requests.DeleteQueueRequest,
        queues.delete_queue,
        "partly",
        "done at once; a queue that the project file declares is refused, since its functions rely on it",
    ),
    "GetQueueAttributes": Action(requests.GetQueueAttributesRequest, settings.get_queue_attributes),
    "GetQueueUrl": Action(
        requests.GetQueueUrlRequest, queues.get_queue_url, "partly", "one account: another owner's is the same queue"
    ),
    "ListDeadLetterSourceQueues": Action(
        requests.ListDeadLetterSourceQueuesRequest, queues.list_dead_letter_source_queues
    ),
    "ListMessageMoveTasks": Action(
        requests.ListMessageMoveTasksRequest,
        moving.list_message_move_tasks,
        "partly",
        "tasks are forgotten at a restart; what they moved stays moved",
    ),
    "ListQueueTags": Action(requests.ListQueueTagsRequest, tags.list_queue_tags),
    "ListQueues": Action(requests.ListQueuesRequest, queues.list_queues, "yes", "one list for all regions"),
    "PurgeQueue": Action(requests.PurgeQueueRequest, queues.purge_queue, "yes", "done at once"),
    "ReceiveMessage": Action(
        requests.ReceiveMessageRequest,
        receiving.receive_message,
        "partly",
        "messages past their retention go to the dead letters; attempt ids are forgotten at a restart",
    ),
    "RemovePermission": Action(
        requests.RemovePermissionRequest, permissions.remove_permission, "partly", "as AddPermission"
    ),
    "SendMessage": Action(requests.SendMessageRequest, sending.send_message),
    "SendMessageBatch": Action(requests.SendMessageBatchRequest, sending.send_message_batch),
    "SetQueueAttributes": Action(
        requests.SetQueueAttributesRequest,
        settings.set_queue_attributes,
        "partly",
        "at once; a new retention counts for messages sent from then on; what the project file declares comes back at "
        "the next start",
    ),
    "StartMessageMoveTask": Action(requests.StartMessageMoveTaskRequest, moving.start_message_move_task),
    "TagQueue": Action(requests.TagQueueRequest, tags.tag_queue),
    "UntagQueue": Action(requests.UntagQueueRequest, tags.untag_queue),
}
INPUTS: Mapping[str, type[Request]] = {name: action.request for name, action in SQS_ACTIONS.items()}
