"""What SQS refuses, by the names of its JSON protocol, and what we say to people about it.

Sources: SQS API reference, "Common Error Types" and the errors of each action; AWS general reference, on throttling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.errors import BrokerError

_NAMELESS = "Unknown"
_THROTTLED = frozenset(
    {
        "RequestThrottled",
        "RequestThrottledException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "OverLimit",
        "KmsThrottled",
        "RequestLimitExceeded",
    }
)
_UNKNOWN_QUEUE = frozenset({"QueueDoesNotExist", "NonExistentQueue"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "KmsAccessDenied", "AuthorizationError"})
_UNKNOWN_KEY = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "InvalidSecurity",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "RequestInTheFuture",
    }
)


class Fault(Exception):
    """An answer that is an error; `code` is without its namespace, `status` is HTTP's, 200 for one of a batch.

    `passing` says that the same request may do another time.
    """

    def __init__(self, code: str, text: str, status: int = 200, *, sender: bool = True) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.is_entrys = status == 200 and sender  # one message's own fault: the others have theirs
        self.passing = code in _THROTTLED or status >= 500 or status == 429 or not sender
        self.throttled = code in _THROTTLED or status == 429
        self.unknown_queue = code in _UNKNOWN_QUEUE
        self.denied = code in _DENIED

    def told(self, doing: str) -> BrokerError:
        """The error for people; `doing` is what was tried, as `delete messages of images`."""
        problem = f"SQS refused to {doing}: {self.code}: {self.text}"
        if self.denied:
            return BrokerError(problem, "expected an IAM policy that allows this action on these queues")
        if self.code in _UNKNOWN_KEY:
            return BrokerError(
                problem, "check the key, the secret and the clock: in the URL, AWS_* variables or a profile"
            )
        if self.code == _NAMELESS:
            return BrokerError(
                problem, "an error without a name is not SQS's: check the endpoint, and proxies before it"
            )
        return BrokerError(problem, "see the error's name in the SQS API reference")


def fault_of(status: int, told: Mapping[str, Any]) -> Fault:
    """The fault of a whole answer."""
    name = str(told.get("__type") or told.get("code") or _NAMELESS)
    text = str(told.get("message") or told.get("Message") or f"HTTP status {status}")
    return Fault(_bare(name), text, status)


def entry_fault(entry: Mapping[str, Any]) -> Fault:
    """The fault of one entry of a batch (BatchResultErrorEntry)."""
    text = str(entry.get("Message") or "")
    return Fault(_bare(str(entry.get("Code"))), text, sender=bool(entry.get("SenderFault", True)))


def _bare(name: str) -> str:
    return name.rpartition("#")[2].rpartition(".")[2]
