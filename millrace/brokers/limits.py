"""What every adapter says about puts that cannot be: odd texts and times, bodies too large, queues that are full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.errors import QueueFull, TooLarge, Unencodable, not_utf8, shortened
from millrace.types import Put

_LAST_S = 253402300800.0  # the year 10000, where calendars end


def is_moment(at: float) -> bool:
    """Whether Unix seconds are a time of some calendar: neither infinite nor NaN, from 1970 to 9999."""
    return 0.0 <= at < _LAST_S


def check_moments(puts: Iterable[Put]) -> None:
    """Raise Unencodable for the first message that was sent at no time: functions and filters would fail on it."""
    for put in puts:
        if not is_moment(put.message.sent_at):
            raise Unencodable(
                f"message {put.message.id}: {put.message.sent_at} is not a time, as `sent_at` is",
                "leave it out, or give Unix seconds",
            )


def check_texts(puts: Iterable[Put]) -> None:
    """Raise Unencodable for the first message with a text that UTF-8 has no form for: half of a surrogate pair alone.

    First in every put: what is stored as UTF-8 would fail halfway, beside others' messages and with a library's error.
    """
    for put in puts:
        message = put.message
        # isascii looks at a flag, while encoding copies the text.
        plain = message.id.isascii() and put.queue.isascii() and message.group.isascii() and put.dedupe.isascii()
        if not plain or not _are_ascii(message.attributes):
            _check_each_text(put)


def _are_ascii(attributes: Mapping[str, str]) -> bool:
    for name, value in attributes.items():  # noqa: SIM110 - a generator takes twice the time
        if not (name.isascii() and value.isascii()):
            return False
    return True


def _check_each_text(put: Put) -> None:
    message = put.message
    texts = [
        ("the name of its queue", put.queue),
        ("its id", message.id),
        ("its group", message.group),
        ("its dedupe key", put.dedupe),
    ]
    for name, value in message.attributes.items():
        texts += [(f"the name of its attribute {shortened(name)}", name), (f"its attribute {shortened(name)}", value)]
    where = f"queue {shortened(put.queue)}, message {shortened(message.id)}"
    for what, text in texts:
        check_text(text, f"{where}: {what}")


def check_text(text: str, what: str) -> None:
    """Raise Unencodable for a text that UTF-8 has no form for; `what` names it."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise not_utf8(error, what) from None


def check_sizes(puts: Iterable[Put], max_bytes: int | None) -> None:
    """Raise TooLarge for the first body that is longer; nothing is where there is no bound."""
    if max_bytes is None:
        return
    for put in puts:
        size = len(put.message.body)
        if size > max_bytes:
            raise TooLarge(
                f"message {put.message.id}: {size} bytes, at most {max_bytes} can be queued",
                "put the body into a bucket and its key into the message",
            )


def queue_full(name: str, *, held: int, limit: int, refused: int) -> QueueFull:
    """A queue at its max_depth refuses so many messages."""
    return QueueFull(
        f"queue {name} holds {held} messages of at most {limit}; {refused} more were refused",
        "try again when its function has caught up, or raise max_depth",
    )
