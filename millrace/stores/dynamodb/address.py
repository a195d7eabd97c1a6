"""Where a table is: `dynamodb://REGION/TABLE`, with `?endpoint=http://HOST:PORT` for another than AWS's.

Credentials are those that every AWS SDK finds: AWS_* variables, profiles, roles of containers and instances.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import msgspec

from millrace.errors import ConfigError

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")  # DynamoDB developer guide, "Naming rules"
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_FORM = "expected dynamodb://REGION/TABLE or dynamodb://REGION/TABLE?endpoint=http://HOST:PORT"


class Address(msgspec.Struct, frozen=True):
    """A table of a region; `endpoint` is a URL of http or https, None for AWS's own."""

    region: str
    table: str
    endpoint: str | None = None

    def __str__(self) -> str:
        return f"dynamodb://{self.region}/{self.table}"


def parse_address(url: str) -> Address:
    """Read a table's URL. Raises ConfigError, which does not show it: somebody may have put a secret there."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        host, user = parts.hostname or "", parts.username
        endpoint = options.pop("endpoint", None)
        endpoint_parts = urlsplit(endpoint or "")
    except ValueError:
        raise ConfigError("the URL of a table cannot be read", _FORM) from None
    table = parts.path.removeprefix("/")
    if user is not None:
        raise ConfigError(
            "the URL of a table in DynamoDB has credentials in it",
            "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or into a profile",
        )
    if parts.scheme != "dynamodb" or not _REGION.fullmatch(host) or not _TABLE.fullmatch(table):
        raise ConfigError("the URL of a table has no region or no name of a table", _FORM)
    if options:
        raise ConfigError(f"the URL of table {table} has the option {min(options)!r}, which is not known", _FORM)
    if endpoint is not None and (endpoint_parts.scheme not in ("http", "https") or not endpoint_parts.hostname):
        raise ConfigError(f"the endpoint of table {table} is no URL of http or https", _FORM)
    return Address(host, table, endpoint)
