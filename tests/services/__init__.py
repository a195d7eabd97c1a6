"""Private servers for tests: `service("redis")` is the URL of the one that `python -m tests.services` started.

Fault tests that kill or pause a server start one of their own: tests.services.redis.Redis and its siblings.
"""

from __future__ import annotations

import os

from tests.needs import needs

VARIABLES = {name: f"MILLRACE_TEST_{name.upper()}" for name in ("rabbitmq", "redis", "nats", "postgres")}


def service(name: str) -> str:
    """The URL of the running server, from its variable; without it the test is skipped on a laptop and fails in CI."""
    url = os.environ.get(VARIABLES[name])
    needs(f"{VARIABLES[name]}, which `make services` and `make test` set", url)
    assert url is not None
    return url
