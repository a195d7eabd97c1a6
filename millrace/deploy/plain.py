"""Which addresses may stand in a manifest for everybody to read: those with nothing secret in them."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from millrace.deploy.keda import BROKER_KEY, authentication_keys
from millrace.deploy.plan import Plan
from millrace.loopback import is_loopback

DATABASE_KEY = "MILLRACE_DATABASE"


def plain_addresses(plan: Plan, broker: str | None, database: str | None) -> dict[str, str]:
    """The variables of pods that a manifest can hold, of a broker and a database that only options named.

    RabbitMQ's is never one of them: KEDA reads its user and password out of the URL, and so the Secret has that anyway.
    """
    found: dict[str, str] = {}
    asked = authentication_keys(plan.server).values() if plan.server is not None else (BROKER_KEY,)
    if broker is not None and BROKER_KEY not in asked and is_plain(broker):
        found[BROKER_KEY] = broker
    if database is not None and plan.has_database and is_plain(database):
        found[DATABASE_KEY] = database
    return found


def is_plain(url: str) -> bool:
    """Whether a URL means the same in a pod as here, and has neither user nor password.

    A user alone is none: NATS takes it for a token.
    """
    try:
        parts = urlsplit(url)
        options = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    except ValueError:
        return False
    if "@" in unquote(url) or any("pass" in name for name in options):
        return False
    return not is_loopback(parts.hostname or "")
