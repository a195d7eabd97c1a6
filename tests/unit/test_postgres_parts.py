"""What the PostgreSQL stores do without a server: URLs, errors in our words, texts that it could not keep."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout, TooManyRequests

from millrace.errors import StorageBusy, StorageDenied, StorageError, StorageFull, StorageReadOnly
from millrace.stores.postgres.address import parse_address
from millrace.stores.postgres.faults import is_lost_connection, is_worth_repeating, translate
from millrace.stores.postgres.tables import _relation
from millrace.stores.postgres.texts import indexed, restored, stored

ADDRESS = parse_address("postgresql://ann:hush@db:5433/work?schema=team&sslmode=disable")


def test_an_address_shows_no_credentials() -> None:
    assert str(ADDRESS) == repr(ADDRESS) == "postgresql://db:5433/work (schema team)"
    assert "password=hush" in ADDRESS.conninfo
    assert "sslmode=disable" in ADDRESS.conninfo
    assert "schema" not in ADDRESS.conninfo
    assert ADDRESS.schema == "team"


def test_what_the_url_says_goes_before_our_defaults() -> None:
    address = parse_address("postgres://db/work?connect_timeout=3&application_name=mine")
    assert "connect_timeout=3" in address.conninfo
    assert "application_name=mine" in address.conninfo
    assert address.schema == "millrace"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://db/work", "none of PostgreSQL"),
        ("postgresql://ann:hush@db/work?schema=Team", "schema='Team'"),
        ("postgresql://ann:hush@db/work?schema=pg_mine", "schema='pg_mine'"),
        ("postgresql://ann:hush@db/work?hush=1", "one of its options is unknown"),
        ("postgresql://ann:1/hush@db/work", "@ behind"),
        ("postgresql://ann:hush@[db/work", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_being_shown(url: str, said: str) -> None:
    with pytest.raises(StorageError, match=said) as caught:
        parse_address(url)
    assert "hush" not in str(caught.value)


class Said(psycopg.OperationalError):
    """An error of the server with a SQLSTATE."""


def said(code: str | None, text: str = "first line\nsecond line") -> Said:
    error = Said(text)
    error.sqlstate = code
    return error


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (said("28P01"), StorageDenied, "check user and password"),
        (said(None, "connection failed: FATAL: password authentication failed"), StorageDenied, "check user and"),
        (said("53100"), StorageFull, "free some space"),
        (said("25006"), StorageReadOnly, "connect to the primary"),
        (said("42501"), StorageReadOnly, "GRANT"),
        (said("3D000"), StorageDenied, "create the database"),
        (said("53300"), StorageBusy, "max_connections"),
        (said("57014"), StorageBusy, "pg_stat_activity"),
        (said("42P01"), StorageError, "start again"),
        (said("57P01"), StorageError, "check that it runs"),
        (said(None, "connection refused"), StorageError, "check that it runs"),
        (PoolTimeout("no connection within 5 s"), StorageError, "check that it runs"),
        (TooManyRequests("queue"), StorageBusy, "give the server time"),
        (said("XX000", ""), StorageError, "the server's log"),
    ],
)
def test_errors_say_what_to_do(error: Exception, kind: type[StorageError], hint: str) -> None:
    told = translate(error, ADDRESS)
    assert type(told) is kind
    assert hint in told.hint
    assert told.problem.startswith("postgresql://db:5433/work (schema team): ")
    assert "second line" not in told.problem


def test_which_errors_are_repeated() -> None:
    assert is_worth_repeating(errors.SerializationFailure())
    assert is_worth_repeating(errors.DeadlockDetected())
    assert not is_worth_repeating(errors.UniqueViolation())
    assert is_lost_connection(said(None))
    assert is_lost_connection(said("57P01"))
    assert not is_lost_connection(said("53100"))
    assert not is_lost_connection(errors.SyntaxError())


@pytest.mark.parametrize("text", ["", "a", "\0", "a\0b\0", "\u2400", "\u24000", "\0\u2400", "\u2400\u2400\0", "ключ"])
def test_texts_come_back(text: str) -> None:
    assert "\0" not in stored(text)
    assert restored(stored(text)) == text


def test_long_ids_stay_apart() -> None:
    first, second = indexed("x" * 5000), indexed("x" * 5000 + "y")
    assert first != second
    assert len(first) < 600
    assert indexed("short") == "short"
    assert len(indexed("🐈" * 500).encode()) <= 2000


def test_names_of_relations() -> None:
    assert _relation("predictions") == "predictions"
    assert _relation("Pets").startswith("pets_")
    assert _relation("Pets") != _relation("pets")
    assert len(_relation("日本" * 60)) < 50
    assert len("changes_" + _relation("a b" * 40)) < 63
