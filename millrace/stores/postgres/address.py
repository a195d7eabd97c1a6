"""Where the database is: a libpq URL, of which `schema` is ours, and which is never shown with its password.

    postgresql://user:secret@host:5432/name?schema=team&sslmode=verify-full

User and password may be left to PGUSER and PGPASSWORD, to PGPASSFILE or to a service file, as for psql.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from millrace.errors import StorageDenied

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_FORM = "expected postgresql://USER@HOST:PORT/DATABASE?schema=NAME"
_ENCODED = "in a user or password write / as %2F, ? as %3F, # as %23, @ as %40 and : as %3A"
_KNOWN = "known are `schema` and what libpq knows: sslmode, target_session_attrs, ..."
_DEFAULTS = {
    "application_name": "millrace",
    "connect_timeout": "10",
    # A server that went away without a word is noticed within half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}


class Address(msgspec.Struct, frozen=True):
    """What libpq connects to, and the schema that holds everything; as text without credentials."""

    conninfo: str
    schema: str
    shown: str

    def __str__(self) -> str:
        return self.shown

    __repr__ = __str__


def parse_address(url: str) -> Address:
    """Read a database's URL. Raises StorageDenied that says what is wrong, and never shows the URL whole."""
    try:
        parts = urlsplit(url)
        if "@" in parts.path and "@" not in parts.netloc:  # of a password with a slash nothing is shown
            raise StorageDenied("the database's URL has its @ behind a /", _ENCODED)
        options = parse_qsl(parts.query, keep_blank_values=True)
        named = dict(options)
        schema = named.pop("schema", "millrace")
        if parts.scheme not in ("postgresql", "postgres"):
            raise StorageDenied("the database's URL is none of PostgreSQL", _FORM)
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
            raise StorageDenied(
                f"schema={schema!r} in the database's URL", "a schema is up to 41 of a-z, 0-9 and '_', not pg_..."
            )
        plain = urlunsplit(parts._replace(query=urlencode(named, quote_via=quote)))
        known = conninfo_to_dict(plain)
    except ValueError as error:
        raise StorageDenied("the database's URL cannot be read", f"{_FORM}; {_ENCODED}") from error
    except psycopg.Error as error:  # libpq's words quote the part that it does not know, perhaps the password
        if "URI query parameter" in str(error):
            raise StorageDenied("the database's URL cannot be read: one of its options is unknown", _KNOWN) from None
        raise StorageDenied("the database's URL cannot be read", f"{_FORM}; {_ENCODED}") from None
    missing = {name: value for name, value in _DEFAULTS.items() if name not in known}
    return Address(make_conninfo(plain, **missing), schema, _shown(known, schema))


def _shown(known: Mapping[str, object], schema: str) -> str:
    host, port, name = (known.get(each) for each in ("host", "port", "dbname"))
    return f"postgresql://{host or ''}{f':{port}' if port else ''}/{name or ''} (schema {schema})"
