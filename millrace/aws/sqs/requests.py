"""What each action of SQS is asked: one declaration from which the JSON and the query protocol are both read.

Field names are AWS's members, in snake case. The classes of batch entries have AWS's own names, since the query
protocol spells them out (`SendMessageBatchRequestEntry.1.Id`). Source: SQS API reference, version 2012-11-05.
"""

from __future__ import annotations

import msgspec
from msgspec import field

from millrace.aws.attributes import Attribute


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="pascal"):
    """An action's input; what AWS lets a client leave out is None."""


class QueueRequest(Request, frozen=True, kw_only=True):
    """An input that names its queue by URL."""

    queue_url: str


class MessageAttributeValue(Attribute, frozen=True, omit_defaults=True):
    """A typed attribute of a message; AWS defines the two lists but refuses them."""

    StringListValues: list[str] | None = None
    BinaryListValues: list[bytes] | None = None


Attributes = dict[str, MessageAttributeValue]


class CreateQueueRequest(Request, frozen=True, kw_only=True):
    """CreateQueue."""

    queue_name: str
    attributes: dict[str, str] | None = None
    tags: dict[str, str] | None = field(default=None, name="tags")


class DeleteQueueRequest(QueueRequest, frozen=True, kw_only=True):
    """DeleteQueue."""


class GetQueueUrlRequest(Request, frozen=True, kw_only=True):
    """GetQueueUrl."""

    queue_name: str
    queue_owner_aws_account_id: str | None = field(default=None, name="QueueOwnerAWSAccountId")


class ListQueuesRequest(Request, frozen=True, kw_only=True):
    """ListQueues."""

    queue_name_prefix: str | None = None
    next_token: str | None = None
    max_results: int | None = None


class GetQueueAttributesRequest(QueueRequest, frozen=True, kw_only=True):
    """GetQueueAttributes."""

    attribute_names: list[str] | None = None


class SetQueueAttributesRequest(QueueRequest, frozen=True, kw_only=True):
    """SetQueueAttributes."""

    attributes: dict[str, str]


class TagQueueRequest(QueueRequest, frozen=True, kw_only=True):
    """TagQueue."""

    tags: dict[str, str]


class UntagQueueRequest(QueueRequest, frozen=True, kw_only=True):
    """UntagQueue."""

    tag_keys: list[str]


class ListQueueTagsRequest(QueueRequest, frozen=True, kw_only=True):
    """ListQueueTags."""


class Sending(Request, frozen=True, kw_only=True):
    """A message to be sent."""

    message_body: str
    delay_seconds: int | None = None
    message_attributes: Attributes | None = None
    message_system_attributes: Attributes | None = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessageRequest(Sending, frozen=True, kw_only=True):
    """SendMessage."""

    queue_url: str


class SendMessageBatchRequestEntry(Sending, frozen=True, kw_only=True):
    """One message of SendMessageBatch."""

    id: str


class SendMessageBatchRequest(QueueRequest, frozen=True, kw_only=True):
    """SendMessageBatch."""

    entries: list[SendMessageBatchRequestEntry] = []


class ReceiveMessageRequest(QueueRequest, frozen=True, kw_only=True):
    """ReceiveMessage."""

    attribute_names: list[str] | None = None
    message_system_attribute_names: list[str] | None = None
    message_attribute_names: list[str] | None = None
    max_number_of_messages: int | None = None
    visibility_timeout: int | None = None
    wait_time_seconds: int | None = None
    receive_request_attempt_id: str | None = None


class DeleteMessageRequest(QueueRequest, frozen=True, kw_only=True):
    """DeleteMessage."""

    receipt_handle: str


class DeleteMessageBatchRequestEntry(Request, frozen=True, kw_only=True):
    """One message of DeleteMessageBatch."""

    id: str
    receipt_handle: str


class DeleteMessageBatchRequest(QueueRequest, frozen=True, kw_only=True):
    """DeleteMessageBatch."""

    entries: list[DeleteMessageBatchRequestEntry] = []


class ChangeMessageVisibilityRequest(QueueRequest, frozen=True, kw_only=True):
    """ChangeMessageVisibility."""

    receipt_handle: str
    visibility_timeout: int


class ChangeMessageVisibilityBatchRequestEntry(Request, frozen=True, kw_only=True):
    """One message of ChangeMessageVisibilityBatch."""

    id: str
    receipt_handle: str
    visibility_timeout: int | None = None


class ChangeMessageVisibilityBatchRequest(QueueRequest, frozen=True, kw_only=True):
    """ChangeMessageVisibilityBatch."""

    entries: list[ChangeMessageVisibilityBatchRequestEntry] = []


class PurgeQueueRequest(QueueRequest, frozen=True, kw_only=True):
    """PurgeQueue."""


class ListDeadLetterSourceQueuesRequest(QueueRequest, frozen=True, kw_only=True):
    """ListDeadLetterSourceQueues."""

    next_token: str | None = None
    max_results: int | None = None


class StartMessageMoveTaskRequest(Request, frozen=True, kw_only=True):
    """StartMessageMoveTask."""

    source_arn: str
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None


class ListMessageMoveTasksRequest(Request, frozen=True, kw_only=True):
    """ListMessageMoveTasks."""

    source_arn: str
    max_results: int | None = None


class CancelMessageMoveTaskRequest(Request, frozen=True, kw_only=True):
    """CancelMessageMoveTask."""

    task_handle: str


class AddPermissionRequest(QueueRequest, frozen=True, kw_only=True):
    """AddPermission."""

    label: str
    aws_account_ids: list[str] = field(name="AWSAccountIds")
    actions: list[str]


class RemovePermissionRequest(QueueRequest, frozen=True, kw_only=True):
    """RemovePermission."""

    label: str
