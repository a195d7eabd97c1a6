"""What each action of SQS answers: one declaration from which JSON and XML are both written.

As in AWS's own answers, what is None or empty is left out. Classes of list items have AWS's own names, which are their
elements in XML. Source: SQS API reference, version 2012-11-05.
"""

from __future__ import annotations

import msgspec
from msgspec import field

from millrace.aws.attributes import Attribute


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="pascal", omit_defaults=True):
    """An action's output."""


class QueueUrlResult(Result, frozen=True, kw_only=True):
    """CreateQueue, GetQueueUrl."""

    queue_url: str


class ListQueuesResult(Result, frozen=True, kw_only=True):
    """ListQueues."""

    queue_urls: list[str] | None = None
    next_token: str | None = None


class ListDeadLetterSourceQueuesResult(Result, frozen=True, kw_only=True):
    """ListDeadLetterSourceQueues; the one list that is there when empty, in AWS's lower case."""

    queue_urls: list[str] = field(name="queueUrls")
    next_token: str | None = None


class GetQueueAttributesResult(Result, frozen=True, kw_only=True):
    """GetQueueAttributes."""

    attributes: dict[str, str] | None = None


class ListQueueTagsResult(Result, frozen=True, kw_only=True):
    """ListQueueTags."""

    tags: dict[str, str] | None = None


class SendMessageResult(Result, frozen=True, kw_only=True):
    """SendMessage."""

    message_id: str
    md5_of_message_body: str = field(name="MD5OfMessageBody")
    md5_of_message_attributes: str | None = field(default=None, name="MD5OfMessageAttributes")
    md5_of_message_system_attributes: str | None = field(default=None, name="MD5OfMessageSystemAttributes")
    sequence_number: str | None = None


class SendMessageBatchResultEntry(SendMessageResult, frozen=True, kw_only=True):
    """One message that was sent."""

    id: str


class BatchResultErrorEntry(Result, frozen=True, kw_only=True):
    """One entry of a batch that failed, and why."""

    id: str
    sender_fault: bool
    code: str
    message: str


class SendMessageBatchResult(Result, frozen=True, kw_only=True):
    """SendMessageBatch."""

    successful: list[SendMessageBatchResultEntry] | None = None
    failed: list[BatchResultErrorEntry] | None = None


class Message(Result, frozen=True, kw_only=True):
    """One message that was received."""

    message_id: str
    receipt_handle: str
    md5_of_body: str = field(name="MD5OfBody")
    body: str
    attributes: dict[str, str] | None = None
    md5_of_message_attributes: str | None = field(default=None, name="MD5OfMessageAttributes")
    message_attributes: dict[str, Attribute] | None = None


class ReceiveMessageResult(Result, frozen=True, kw_only=True):
    """ReceiveMessage."""

    messages: list[Message] | None = None


class DeleteMessageBatchResultEntry(Result, frozen=True, kw_only=True):
    """One message that was deleted."""

    id: str


class DeleteMessageBatchResult(Result, frozen=True, kw_only=True):
    """DeleteMessageBatch."""

    successful: list[DeleteMessageBatchResultEntry] | None = None
    failed: list[BatchResultErrorEntry] | None = None


class ChangeMessageVisibilityBatchResultEntry(Result, frozen=True, kw_only=True):
    """One message whose visibility was changed."""

    id: str


class ChangeMessageVisibilityBatchResult(Result, frozen=True, kw_only=True):
    """ChangeMessageVisibilityBatch."""

    successful: list[ChangeMessageVisibilityBatchResultEntry] | None = None
    failed: list[BatchResultErrorEntry] | None = None


class StartMessageMoveTaskResult(Result, frozen=True, kw_only=True):
    """StartMessageMoveTask."""

    task_handle: str


class ListMessageMoveTasksResultEntry(Result, frozen=True, kw_only=True):
    """One move task; the handle is shown while it runs. `started_timestamp` is in Unix milliseconds."""

    task_handle: str | None = None
    status: str
    source_arn: str
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None
    approximate_number_of_messages_moved: int
    approximate_number_of_messages_to_move: int
    failure_reason: str | None = None
    started_timestamp: int


class ListMessageMoveTasksResult(Result, frozen=True, kw_only=True):
    """ListMessageMoveTasks."""

    results: list[ListMessageMoveTasksResultEntry] | None = None


class CancelMessageMoveTaskResult(Result, frozen=True, kw_only=True):
    """CancelMessageMoveTask."""

    approximate_number_of_messages_moved: int
