"""PostgreSQL's errors in millrace's words: what is wrong, and what to do about it."""

from __future__ import annotations

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from millrace.errors import StorageBusy, StorageDenied, StorageError, StorageFull, StorageReadOnly
from millrace.stores.postgres.address import Address

_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
# What a server says to who connects comes without a code.
_WORDS = {
    "authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    'FATAL:  database "': "3D000",
    "too many clients": "53300",
    "remaining connection slots": "53300",
}
# What libpq says of an answer that is none.
_FOREIGN = ("received invalid response to", "expected authentication request from server")


def is_worth_repeating(error: Exception) -> bool:
    """Whether the transaction lost against another one and may succeed when it is run again."""
    return isinstance(error, _AGAIN)


def is_lost_connection(error: Exception) -> bool:
    """Whether the connection is gone: the server may or may not have carried out what was sent."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
        error.sqlstate is None or error.sqlstate.startswith(("08", "57P0"))
    )


def translate(error: Exception, address: Address) -> StorageError:
    """The StorageError that tells a reader what PostgreSQL, or the way to it, said."""
    said = _first_line(error)
    code = getattr(error, "sqlstate", None) or next((code for words, code in _WORDS.items() if words in said), "")
    if code in ("28P01", "28000"):
        return StorageDenied(f"{address}: {said}", "check user and password in `database:`, or PGUSER and PGPASSWORD")
    if code == "53100":
        return StorageFull(
            f"{address}: {said}", "free some space on the server; what was accepted before is still there"
        )
    if code in ("25006", "25P02"):
        return StorageReadOnly(
            f"{address}: {said}", "connect to the primary (target_session_attrs=read-write with several hosts)"
        )
    if code == "42501":
        return StorageReadOnly(
            f"{address}: {said}", f"GRANT this user CREATE on the database, or make schema {address.schema} his own"
        )
    if code == "3D000":
        return StorageDenied(f"{address}: {said}", "create the database, or correct its name in `database:`")
    if code == "53300":
        return StorageBusy(f"{address}: {said}", "raise max_connections on the server, or run fewer processes")
    if code == "57014" or code == "55P03":
        return StorageBusy(f"{address}: {said}", "another transaction holds what is wanted: look at pg_stat_activity")
    if code == "42P01":
        return StorageError(f"{address}: {said}", "something dropped a table of millrace: start again to have it made")
    if isinstance(error, TooManyRequests):
        return StorageBusy(f"{address}: too many wait for a connection", "give the server time, or run more processes")
    if any(words in said for words in _FOREIGN):
        return StorageError(
            f"{address}: what answers there does not speak PostgreSQL: {said}",
            "check host and port in `database:`; PostgreSQL's port is 5432 as a rule",
        )
    if isinstance(error, PoolTimeout | PoolClosed) or is_lost_connection(error):
        return StorageError(
            f"{address}: the server cannot be reached: {said}",
            "check that it runs and that host and port in `database:` are right",
        )
    return StorageError(f"{address}: {said}", "look at the server's log")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
