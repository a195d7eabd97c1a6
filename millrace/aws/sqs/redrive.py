"""Redrive policies: which queue gets the messages that were received too often, and which queues may say so.

Source: SQS API reference, SetQueueAttributes (`RedrivePolicy`, `RedriveAllowPolicy`).
"""

from __future__ import annotations

import msgspec

from millrace.aws.sqs.errors import SqsError, invalid_value

_MOST_RECEIVES = 1000
_MOST_SOURCES = 10


class RedrivePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of `RedrivePolicy`, in AWS's spelling."""

    deadLetterTargetArn: str  # noqa: N815
    maxReceiveCount: int | str  # noqa: N815

    @property
    def receives(self) -> int:
        """The count as a number, 0 where it is none."""
        text = str(self.maxReceiveCount)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

    @property
    def target(self) -> str:
        """The name of the dead-letter queue."""
        return self.deadLetterTargetArn.rsplit(":", 1)[-1]

    def text(self) -> str:
        """The value as AWS shows it, the count a number."""
        return msgspec.json.encode(RedrivePolicy(self.deadLetterTargetArn, self.receives)).decode()


class AllowPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of `RedriveAllowPolicy`, in AWS's spelling."""

    redrivePermission: str = "allowAll"  # noqa: N815
    sourceQueueArns: list[str] = []  # noqa: N815

    def allows(self, source_arn: str) -> bool:
        """Whether that queue's dead letters may come here."""
        if self.redrivePermission == "byQueue":
            return source_arn in self.sourceQueueArns
        return self.redrivePermission == "allowAll"


def redrive_policy(text: str) -> RedrivePolicy | None:
    """Read `RedrivePolicy`, None where it is empty. Raises SqsError."""
    if not text:
        return None
    try:
        policy = msgspec.json.decode(text, type=RedrivePolicy)
    except msgspec.MsgspecError:
        reason = "It must have the keys deadLetterTargetArn and maxReceiveCount."
        raise invalid_value(text, "RedrivePolicy", reason) from None
    if not 1 <= policy.receives <= _MOST_RECEIVES:
        raise invalid_value(text, "RedrivePolicy", "Invalid value for maxReceiveCount: must be from 1 to 1000.")
    return policy


def allow_policy(text: str) -> AllowPolicy:
    """Read `RedriveAllowPolicy`; empty allows all. Raises SqsError."""
    if not text:
        return AllowPolicy()
    try:
        policy = msgspec.json.decode(text, type=AllowPolicy)
    except msgspec.MsgspecError:
        reason = "It must have the key redrivePermission, and may have sourceQueueArns."
        raise _invalid(reason) from None
    named = bool(policy.sourceQueueArns)
    if policy.redrivePermission not in ("allowAll", "denyAll", "byQueue"):
        raise _invalid("redrivePermission must be allowAll, denyAll or byQueue.")
    if named != (policy.redrivePermission == "byQueue") or len(policy.sourceQueueArns) > _MOST_SOURCES:
        raise _invalid("byQueue, and only byQueue, names up to 10 sourceQueueArns.")
    return policy


def _invalid(reason: str) -> SqsError:
    return SqsError("InvalidAttributeValue", f"Invalid value for the parameter RedriveAllowPolicy. Reason: {reason}")
