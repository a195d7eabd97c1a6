"""Settling a commit: first whose leases are still ours, then every effect of those outcomes and of no other."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from millrace.broker import Queue, Standing
from millrace.brokers.limits import check_texts
from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.ended import Ended, bury, remember
from millrace.brokers.sqlite.put import Now, add_held, insert
from millrace.brokers.sqlite.queues import Queues
from millrace.database import Participant
from millrace.errors import BrokerError
from millrace.types import Commit, Death, Lease, Outcome, Verdict

_json = msgspec.json.Encoder()
Receipt = tuple[int, int, str]
_MAX_INTEGER = 2**63 - 1  # of SQLite
_numbers = msgspec.json.Decoder(list[int])
_standings = msgspec.json.Decoder(list[Standing])


def settle(
    connection: sqlite3.Connection, queues: Queues, participants: Iterable[Participant], commit: Commit, now: Now
) -> list[Lease]:
    """Carry out a commit; the leases that were lost are returned and nothing of theirs was done."""
    queue = queues.get(connection, commit.queue)
    lost, aside = _examined(connection, queue.name, [outcome.lease for outcome in commit.outcomes])
    ours = commit.without(lost) if lost else commit
    if ours.outcomes:
        check_texts(ours.puts)
        _messages(connection, queues, queue, ours, aside, now)
        remember(connection, queue, [*_ended(ours)], now)
        insert(connection, queues, list(ours.puts), now)
        for participant in participants:
            participant.apply(connection, ours)
    return lost


def extend(connection: sqlite3.Connection, leases: Sequence[Lease], due_at: float) -> list[Lease]:
    """Renew leases; those that were lost are returned."""
    by_queue: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in leases:
        by_queue[lease.queue].append(lease)
    lost = [lost for queue, mine in by_queue.items() for lost in _examined(connection, queue, mine)[0]]
    gone = {lease.receipt for lease in lost}
    ours = [lease for lease in leases if lease.receipt not in gone]
    connection.execute(statements.EXTEND, (due_at, _sequence(ours)))
    return lost


def standing(connection: sqlite3.Connection, queues: Queues, leases: Sequence[Lease], now_s: float) -> list[Standing]:
    """What each lease is worth. Raises UnknownQueue, BrokerError."""
    by_queue: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in leases:
        by_queue[lease.queue].append(lease)
    found: dict[tuple[str, object], Standing] = {}
    for queue, mine in by_queue.items():
        asked = _json.encode([_receipt(lease) for lease in mine]).decode()
        (row,) = connection.execute(statements.STANDING, (now_s, asked, queues.get(connection, queue).name)).fetchone()
        found |= {(queue, lease.receipt): each for lease, each in zip(mine, _standings.decode(row), strict=True)}
    return [found[lease.queue, lease.receipt] for lease in leases]


def _messages(
    connection: sqlite3.Connection, queues: Queues, queue: Queue, commit: Commit, aside: set[int], now: Now
) -> None:
    """What becomes of the messages themselves."""
    ends: defaultdict[Verdict, list[Outcome]] = defaultdict(list)
    for outcome in commit.outcomes:
        ends[outcome.verdict].append(outcome)
    if done := ends["done"]:
        add_held(connection, queue, -_delete(connection, [outcome.lease for outcome in done], aside))
    if dead := ends["dead"]:
        bury(connection, queues, queue, [(_seq(outcome.lease), _death(outcome)) for outcome in dead], now)
    if retry := ends["retry"]:
        due = [(_seq(each.lease), now.broker_s + each.delay_s if each.delay_s > 0 else 0) for each in retry]
        connection.execute(statements.RETRY, (now.wall_s, _json.encode(due).decode()))
    if release := ends["release"]:
        connection.execute(statements.RELEASE, (_sequence([outcome.lease for outcome in release]),))


def _ended(commit: Commit) -> Iterator[Ended]:
    for outcome in commit.outcomes:
        if outcome.verdict == "done" or outcome.verdict == "dead":
            yield outcome.lease.receipt[2], outcome.verdict, outcome.record  # type: ignore[index]


def _delete(connection: sqlite3.Connection, leases: Sequence[Lease], aside: set[int]) -> int:
    count = connection.execute(statements.DELETE, (_sequence(leases),)).rowcount
    if aside:
        connection.execute(statements.DELETE_BODIES, (_sequence([each for each in leases if _seq(each) in aside]),))
    return count


def _examined(connection: sqlite3.Connection, queue: str, leases: Iterable[Lease]) -> tuple[list[Lease], set[int]]:
    """The leases whose message is gone or has been leased to somebody else: its receipt is not theirs.

    With the numbers of the others' messages whose bodies lie aside.
    """
    by_token: defaultdict[int, dict[int, Lease]] = defaultdict(dict)
    for lease in leases:
        seq, token, _ = _receipt(lease)
        by_token[token][seq] = lease
    lost: list[Lease] = []
    aside: set[int] = set()
    for token, mine in by_token.items():
        (found,) = connection.execute(statements.OURS, (_json.encode(list(mine)).decode(), token, queue)).fetchone()
        numbers = _numbers.decode(found)
        aside.update([-number for number in numbers if number < 0])
        if len(numbers) < len(mine):
            ours = {abs(number) for number in numbers}
            lost += [lease for seq, lease in mine.items() if seq not in ours]
    return lost, aside


def _death(outcome: Outcome) -> Death:
    if outcome.death is None:
        raise BrokerError(f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died")
    return outcome.death


def _receipt(lease: Lease) -> Receipt:
    """Which message, under which token, and its id: a receipt may have come from outside, without its message."""
    receipt = lease.receipt
    if isinstance(receipt, tuple) and len(receipt) == 3:
        seq, token, id = receipt
        numbers = type(seq) is int and type(token) is int
        if numbers and type(id) is str and 0 <= seq <= _MAX_INTEGER and 0 <= token <= _MAX_INTEGER:
            return receipt
    raise BrokerError(f"{receipt!r} is not a receipt of this broker", "settle a lease where it was taken")


def _seq(lease: Lease) -> int:
    """Of a lease that was examined."""
    seq: int = lease.receipt[0]  # type: ignore[index]
    return seq


def _sequence(leases: Sequence[Lease]) -> str:
    return _json.encode([_seq(lease) for lease in leases]).decode()
