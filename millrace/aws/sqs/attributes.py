"""The attributes of a queue: which there are, what they may be, and what they mean to the broker.

Source: SQS API reference, CreateQueue and SetQueueAttributes; the largest message is 1 MiB since August 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from millrace.aws.sqs.errors import SqsError
from millrace.broker import Queue

MAX_BYTES = 1_048_576
FIFO_DEDUPE_S = 300.0
_LONGEST_S = 1_209_600  # of retention


class Rule(NamedTuple):
    """What values an attribute may have, as text; `default` is None for one that is shown only once it was set."""

    allows: Callable[[str], bool]
    default: str | None = None
    fifo: bool = False  # only FIFO queues have it
    fixed: bool = False  # set at creation for good


def _between(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high


def _one_of(*texts: str) -> Callable[[str], bool]:
    return lambda text: text in texts


def _json_object(text: str) -> bool:
    try:
        return not text or isinstance(msgspec.json.decode(text), dict)
    except (msgspec.MsgspecError, RecursionError):
        return False


_SWITCH = _one_of("true", "false")
RULES: Mapping[str, Rule] = {
    "VisibilityTimeout": Rule(_between(0, 43200), "30"),
    "DelaySeconds": Rule(_between(0, 900), "0"),
    "MaximumMessageSize": Rule(_between(1024, MAX_BYTES), str(MAX_BYTES)),
    "MessageRetentionPeriod": Rule(_between(60, _LONGEST_S), "345600"),
    "ReceiveMessageWaitTimeSeconds": Rule(_between(0, 20), "0"),
    "Policy": Rule(_json_object),
    "RedrivePolicy": Rule(_json_object),
    "RedriveAllowPolicy": Rule(_json_object),
    "KmsMasterKeyId": Rule(lambda text: len(text) <= 2048),
    "KmsDataKeyReusePeriodSeconds": Rule(_between(60, 86400)),
    "SqsManagedSseEnabled": Rule(_SWITCH, "true"),
    "FifoQueue": Rule(_one_of("true"), "true", fifo=True, fixed=True),
    "ContentBasedDeduplication": Rule(_SWITCH, "false", fifo=True),
    "DeduplicationScope": Rule(_one_of("queue", "messageGroup"), "queue", fifo=True),
    "FifoThroughputLimit": Rule(_one_of("perQueue", "perMessageGroupId"), "perQueue", fifo=True),
}
COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
SHOWN = ("QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", *COUNTED, *RULES)


def check(attributes: Mapping[str, str], *, fifo: bool, creating: bool) -> None:
    """Raise SqsError for the first that is unknown, not this kind of queue's, or has a value that it cannot have."""
    for name, value in attributes.items():
        rule = RULES.get(name)
        if rule is None or (rule.fifo and not fifo):
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {name[:256]}.")
        if not rule.allows(value):
            raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
        if rule.fixed and not creating:
            raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}: it cannot be changed.")


def check_together(attributes: Mapping[str, str]) -> None:
    """Raise SqsError for values that do not go together."""
    if (
        attributes.get("FifoThroughputLimit") == "perMessageGroupId"
        and attributes.get("DeduplicationScope") != "messageGroup"
    ):
        reason = "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."
        raise SqsError(
            "InvalidAttributeValue", f"Invalid value for the parameter FifoThroughputLimit. Reason: {reason}"
        )


def effective(attributes: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """What was set over what is so by itself; those set to nothing are gone."""
    defaults = {name: rule.default for name, rule in RULES.items() if rule.default is not None}
    found = {name: value for name, value in (defaults | dict(attributes)).items() if value}
    return {name: value for name, value in found.items() if fifo or not RULES[name].fifo}


def applied(queue: Queue, attributes: Mapping[str, str]) -> Queue:
    """The broker's declaration with those of its settings that these attributes name."""
    meanings = {"VisibilityTimeout": "lease_s", "DelaySeconds": "delay_s", "MessageRetentionPeriod": "ttl_s"}
    changes = {meanings[name]: float(value) for name, value in attributes.items() if name in meanings}
    return msgspec.structs.replace(queue, **changes)


def described(queue: Queue) -> dict[str, str]:
    """The attributes that say what a declaration of the project file says, as near as whole seconds can."""
    found = {
        "VisibilityTimeout": _clamped(queue.lease_s, 0, 43200),
        "DelaySeconds": _clamped(queue.delay_s, 0, 900),
        "MessageRetentionPeriod": _clamped(_LONGEST_S if queue.ttl_s is None else queue.ttl_s, 60, _LONGEST_S),
    }
    return found | ({"FifoQueue": "true"} if queue.fifo else {})


def _clamped(seconds: float, low: int, high: int) -> str:
    return str(min(max(round(seconds), low), high))
