"""Every error that millrace raises, and the two that user code may raise.

    MillraceError                       says what is wrong and what to do
    ├── ConfigError                     the project file: every fault with file:line:column
    ├── FunctionError                   the user's code
    │   └── LoadError                   it could not be imported or its load() failed
    ├── InUse                           a folder or a port that somebody else holds
    ├── Draining                        shutting down: try again elsewhere or later
    ├── Lasting                         waiting would mend nothing
    ├── BrokerError
    │   ├── BrokerDenied                Lasting too: its URL, the user, the password
    │   ├── UnknownQueue
    │   ├── QueueFull                   at max_depth
    │   ├── TooLarge                    over the broker's or the gateway's limit
    │   └── Unencodable                 a body that the queue's codec, or a text that UTF-8, has no form for
    └── StorageError                    the disk or the database
        ├── StorageDenied               Lasting too: its URL, the user, the password
        ├── StorageFull
        ├── StorageBusy                 locked by another process for too long
        ├── StorageReadOnly
        └── StorageDamaged
    Retry(after=...)                    raised by user code: try this item again
    Dead(reason)                        raised by user code: this item will never work

Errors of libraries are translated into these at the adapter's edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MOST_SHOWN = 200


class MillraceError(Exception):
    """Something went wrong that the reader can do something about: `problem` in one line, `hint` what to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(f"{problem}\n  {hint}" if hint else problem)
        self.problem = problem
        self.hint = hint


class ConfigError(MillraceError):
    """The project file is at fault: `faults` has each one (config.faults.Fault) where a file was read."""

    def __init__(self, problem: str, hint: str = "", faults: Sequence[Any] = ()) -> None:
        super().__init__(problem, hint)
        self.faults = list(faults)


class FunctionError(MillraceError):
    """The user's function is at fault."""


class LoadError(FunctionError):
    """The user's function could not be imported, or its load() failed."""


class InUse(MillraceError):
    """A folder or a port is held by somebody else."""


class Draining(MillraceError):
    """This process is shutting down and takes nothing new."""


class Lasting(MillraceError):
    """Waiting would mend nothing: a person has to change an address, a user or a password."""


class BrokerError(MillraceError):
    """The queue could not do what was asked."""


class BrokerDenied(BrokerError, Lasting):
    """The broker's URL cannot be, or the broker would not have this user."""


class UnknownQueue(BrokerError):
    """No queue of that name is declared."""


class QueueFull(BrokerError):
    """The queue is at its max_depth; nothing of the put was stored."""


class TooLarge(BrokerError):
    """A body is over the limit; nothing of the put was stored."""


class Unencodable(BrokerError):
    """A body has no form in the format that its queue holds, or a text none in UTF-8; nothing was stored.

    Stores raise it too, for keys and ids.
    """


class StorageError(MillraceError):
    """The disk or the database refused; what was accepted before is still there."""


class StorageDenied(StorageError, Lasting):
    """The database's URL cannot be, or the server would not have this user."""


class StorageFull(StorageError):
    """No space left."""


class StorageBusy(StorageError):
    """Another process held the database for longer than we wait."""


class StorageReadOnly(StorageError):
    """The folder or file cannot be written."""


class StorageDamaged(StorageError):
    """The database file is not intact."""


class Retry(Exception):
    """Raise in user code to have this item tried again, `after` seconds from now (None: the usual backoff)."""

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Dead(Exception):
    """Raise in user code to send this item to the dead letters at once."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


def not_utf8(error: UnicodeEncodeError, what: str = "") -> Unencodable:
    """Of a text that has no form in UTF-8: `what` names it, else it is shown."""
    text = error.object
    return Unencodable(
        f"{what or f'the text {text[:_MOST_SHOWN]!r}'} has {text[error.start]!a} at character {error.start}, "
        "half of a surrogate pair, which UTF-8 has no form for",
        "make the text with errors='replace', or put the bytes that it was read from into the body",
    )


def shortened(text: str) -> str:
    """A text for an error's words: what no terminal or log could encode is escaped, and what is long is cut."""
    return text[:_MOST_SHOWN].encode(errors="backslashreplace").decode()


def words(error: BaseException) -> str:
    """What a library's error says, and its kind where it says nothing."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
