"""What the server's errors mean: which are worth another try, which are somebody's to mend, which our scripts say."""

from __future__ import annotations

from millrace.broker_address import Address
from millrace.errors import BrokerDenied, BrokerError, StorageError, StorageFull, TooLarge

_REFUSALS = frozenset({"UNKNOWNQUEUE", "QUEUEFULL", "ORDERCHANGE", "NOTALONE"})
_LATER = frozenset({"LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS", "FAILOVER"})
_ELSEWHERE = frozenset({"READONLY", "MASTERDOWN", "UNBLOCKED"})


class Refusal(Exception):
    """A script's own error: its code, and numbers, the first of which is the place of the queue that it is about."""

    def __init__(self, code: str, numbers: list[int]) -> None:
        super().__init__(code)
        self.code = code
        self.numbers = numbers


class Transient(Exception):
    """The server cannot now; `elsewhere` says that another connection may lead to one that can."""

    def __init__(self, text: str, *, elsewhere: bool = False) -> None:
        super().__init__(text)
        self.elsewhere = elsewhere


def is_gone(text: str) -> bool:
    """Whether the server has forgotten a script: it was started anew, or somebody flushed its scripts."""
    return text.startswith("NOSCRIPT")


def error_of(text: str, address: Address) -> Exception:
    """The error that a reply stands for: Refusal, Transient, or one for people."""
    code, _, rest = text.partition(" ")
    if code in _REFUSALS:
        return Refusal(code, [int(number) for number in rest.partition(" script:")[0].split()])
    if code in _LATER or code in _ELSEWHERE:
        return Transient(text.partition(" script:")[0], elsewhere=code in _ELSEWHERE)
    where = f"redis {address}"
    if code == "OOM":
        return StorageFull(
            f"{where} is out of memory: it takes no message until some are done",
            "raise maxmemory, add workers, or set max_depth on the queues, so that producers hear of it earlier",
        )
    if code == "MISCONF":
        return StorageError(f"{where} cannot write to its disk: {rest}", "look into its log; free space on its disk")
    if code in ("NOAUTH", "WRONGPASS") or "invalid username-password" in text or "without any password" in text:
        return BrokerDenied(
            f"{where} refuses these credentials: {text}",
            "expected them in the URL, or in MILLRACE_BROKER_USER and MILLRACE_BROKER_PASSWORD",
        )
    if code == "NOPERM":
        return BrokerError(
            f"{where}: this user may not do that: {rest}",
            "allow it the commands of streams, sorted sets, hashes, scripts and publishing, on the keys of the prefix",
        )
    if code in ("MOVED", "ASK", "CROSSSLOT"):
        return BrokerError(
            f"{where} is a cluster whose keys lie on other nodes: {text}",
            "use a server of its own, or a cluster of one shard: a queue and its dead letters live on one node",
        )
    if "invalid bulk length" in text:
        return TooLarge(
            f"{where} takes no text as large as that: {text}",
            "raise proto-max-bulk-len in redis.conf, or put the body into a bucket and its key into the message",
        )
    if "DB index" in text:
        return BrokerDenied(f"{where}: {text}", "expected a number below that of `databases` in redis.conf, such as /0")
    if "unknown command" in text and "HELLO" in text.upper():
        return BrokerError(f"{where} is older than Redis 6: {text}", "expected Redis 7 or later, or Valkey")
    return BrokerError(f"{where}: {text}", "see docs/reference/brokers/redis.md")
