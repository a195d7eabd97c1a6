"""What every adapter says about the names of queues."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from millrace.broker import DEAD_SUFFIX, Queue
from millrace.brokers.limits import check_text
from millrace.errors import BrokerError, UnknownQueue, shortened

_MOST_COMPARED = 1000  # an SDK may have made thousands, and a comparison takes its time
_MOST_LISTED = 20


def unknown_queue(name: str, names: Collection[str]) -> UnknownQueue:
    """Nobody declared that queue; perhaps one with nearly its name."""
    near = get_close_matches(name, sorted(names)[:_MOST_COMPARED], 1)
    hint = f"did you mean {near[0]}?" if near else f"declared are: {_listed(sorted(names))}"
    return UnknownQueue(f"no queue {name!r} is declared", hint)


def _listed(names: list[str]) -> str:
    further = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return (", ".join(names[:_MOST_LISTED]) or "none") + further


def check_names(queues: Iterable[Queue]) -> None:
    """Raise Unencodable for the first queue with a name that UTF-8 has no form for: before any of them is declared."""
    for queue in queues:
        check_name(queue.name)
        if queue.dead_to is not None:
            check_name(queue.dead_to)


def check_name(name: str) -> None:
    """Raise Unencodable for a name that no queue can have: before a server is asked for a queue not known here."""
    check_text(name, f"queue {shortened(name)}: its name")


def check_dead_to(queue: Queue, names: Collection[str]) -> None:
    """A queue's dead letters can go to any other queue that is there. Raises UnknownQueue and BrokerError."""
    if queue.dead_to is None:
        return
    if queue.dead_to == queue.name:
        raise BrokerError(f"queue {queue.name}: its dead letters cannot go to itself", "name another queue")
    if queue.dead_to not in names:
        raise unknown_queue(queue.dead_to, names)


def check_drop(name: str, names: Collection[str]) -> None:
    """A dead-letter queue goes with its queue. Raises UnknownQueue and BrokerError."""
    if name not in names:
        raise unknown_queue(name, names)
    owner = name.removesuffix(DEAD_SUFFIX)
    if owner != name and owner in names:
        raise holds_letters(name, owner)


def holds_letters(name: str, owner: str) -> BrokerError:
    """A dead-letter queue of a queue that is still there."""
    return BrokerError(f"{name} holds the dead letters of {owner}", f"drop {owner}, or purge {name}")
