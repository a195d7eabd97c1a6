"""Settling a commit: first whose leases are still ours, then every effect of those outcomes and of no other."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from millrace.broker import Queue
from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.ended import Ended, bury, remember
from millrace.brokers.sqlite.put import INLINE_BYTES, Now, add_held, insert
from millrace.brokers.sqlite.queues import Queues
from millrace.database import Participant
from millrace.errors import BrokerError
from millrace.types import Commit, Death, Lease, Outcome, Verdict

_json = msgspec.json.Encoder()
_numbers = msgspec.json.Decoder(list[int])


def settle(
    connection: sqlite3.Connection, queues: Queues, participants: Iterable[Participant], commit: Commit, now: Now
) -> list[Lease]:
    """Carry out a commit; the leases that were lost are returned and nothing of theirs was done."""
    queue = queues.get(connection, commit.queue)
    lost = _lost(connection, [outcome.lease for outcome in commit.outcomes])
    ours = commit.without(lost) if lost else commit
    if ours.outcomes:
        _messages(connection, queue, ours, now)
        remember(connection, queue, [*_ended(ours)], now)
        insert(connection, queues, list(ours.puts), now)
        for participant in participants:
            participant.apply(connection, ours)
    return lost


def extend(connection: sqlite3.Connection, leases: Sequence[Lease], due_at: float) -> list[Lease]:
    """Renew leases; those that were lost are returned."""
    lost = _lost(connection, leases)
    gone = {lease.receipt for lease in lost}
    ours = [lease for lease in leases if lease.receipt not in gone]
    connection.execute(statements.EXTEND, (due_at, _sequence(ours)))
    return lost


def _messages(connection: sqlite3.Connection, queue: Queue, commit: Commit, now: Now) -> None:
    """What becomes of the messages themselves."""
    ends: defaultdict[Verdict, list[Outcome]] = defaultdict(list)
    for outcome in commit.outcomes:
        ends[outcome.verdict].append(outcome)
    if done := ends["done"]:
        _delete(connection, [outcome.lease for outcome in done])
        add_held(connection, queue, -len(done))
    if dead := ends["dead"]:
        bury(connection, queue, [(_seq(outcome.lease), _death(outcome)) for outcome in dead])
    if retry := ends["retry"]:
        due = [(_seq(each.lease), now.broker_s + each.delay_s if each.delay_s > 0 else 0) for each in retry]
        connection.execute(statements.RETRY, (now.wall_s, _json.encode(due).decode()))
    if release := ends["release"]:
        connection.execute(statements.RELEASE, (_sequence([outcome.lease for outcome in release]),))


def _ended(commit: Commit) -> Iterator[Ended]:
    for outcome in commit.outcomes:
        if outcome.verdict == "done" or outcome.verdict == "dead":
            yield outcome.lease.message.id, outcome.verdict, outcome.record


def _delete(connection: sqlite3.Connection, leases: Sequence[Lease]) -> None:
    connection.execute(statements.DELETE, (_sequence(leases),))
    aside = [lease for lease in leases if len(lease.message.body) > INLINE_BYTES]
    if aside:
        connection.execute(statements.DELETE_BODIES, (_sequence(aside),))


def _lost(connection: sqlite3.Connection, leases: Iterable[Lease]) -> list[Lease]:
    """The leases whose message is gone or has been leased to somebody else: its receipt is not theirs."""
    by_token: defaultdict[int, dict[int, Lease]] = defaultdict(dict)
    for lease in leases:
        seq, token = _receipt(lease)
        by_token[token][seq] = lease
    lost: list[Lease] = []
    for token, mine in by_token.items():
        (found,) = connection.execute(statements.OURS, (_json.encode(list(mine)).decode(), token)).fetchone()
        ours = set(_numbers.decode(found))
        if len(ours) < len(mine):
            lost += [lease for seq, lease in mine.items() if seq not in ours]
    return lost


def _death(outcome: Outcome) -> Death:
    if outcome.death is None:
        raise BrokerError(f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died")
    return outcome.death


def _receipt(lease: Lease) -> tuple[int, int]:
    receipt = lease.receipt
    if isinstance(receipt, tuple) and len(receipt) == 2:
        return receipt
    raise BrokerError(f"{receipt!r} is not a receipt of this broker", "settle a lease where it was taken")


def _seq(lease: Lease) -> int:
    return _receipt(lease)[0]


def _sequence(leases: Sequence[Lease]) -> str:
    return _json.encode([_receipt(lease)[0] for lease in leases]).decode()
