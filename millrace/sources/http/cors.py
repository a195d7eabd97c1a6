"""What pages of other sites may do, by a path's `cors`: preflight requests are answered, and answers get the headers.

With payload v2 the gateway writes the headers of every answer, as an HTTP API does. With payload v1 it answers the
preflight alone, as a REST API does: there the handler's own answer has to carry them, and where it does not a browser
shall refuse it at home as well.

Sources: Fetch standard, "CORS protocol"; API Gateway developer guide, "Configure CORS for HTTP APIs" and "Enabling CORS
for a REST API resource".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from millrace.sources.http.problems import Headers
from millrace.sources.http.replies import Reply
from millrace.sources.http.requests import Request
from millrace.sources.http.settings import Cors

ANY = "ANY"
_PREFIX = b"access-control-"
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class PathCors:
    """The CORS settings of one path by method."""

    def __init__(self, rules: Mapping[str, Cors], answered: Collection[str]) -> None:
        self._rules = dict(rules)
        self._answered = frozenset(answered)
        self._methods = sorted({"OPTIONS", *rules} - {ANY}) if ANY not in rules else list(_METHODS)

    def rule(self, method: str) -> Cors | None:
        """What is set for a method, None when it has no CORS."""
        own = "GET" if method == "HEAD" else method
        return self._rules.get(own if own in self._answered else ANY)

    def preflight(self, request: Request) -> Reply | None:
        """The answer to a browser that asks whether it may ask, None when this request is no such question."""
        wanted = request.header(b"access-control-request-method")
        if request.method != "OPTIONS" or wanted is None or request.header(b"origin") is None:
            return None
        rule = self.rule(wanted.upper())
        if rule is None:
            return None
        headers = origin_headers(rule, request)
        if headers:
            headers += ((b"access-control-allow-methods", _joined(rule.methods or self._methods)),)
            headers += ((b"access-control-allow-headers", _joined(rule.headers)),)
            if rule.max_age_s is not None:
                headers += ((b"access-control-max-age", b"%d" % rule.max_age_s),)
        return Reply(204, content_type=None, headers=headers)


def allows(rule: Cors, origin: str) -> bool:
    """Whether pages of an origin may ask; `*` in an allowed origin stands for any part of a name."""
    return any(_matches(allowed, origin) for allowed in rule.origins)


def origin_headers(rule: Cors, request: Request) -> Headers:
    """Who may read the answer: empty for an origin that may not, and for a request that comes from no page."""
    origin = request.header(b"origin")
    if origin is None or not allows(rule, origin):
        return ()
    if "*" in rule.origins and not rule.credentials:
        return ((b"access-control-allow-origin", b"*"),)
    headers: Headers = ((b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin"))
    return (*headers, (b"access-control-allow-credentials", b"true")) if rule.credentials else headers


def decorated(headers: Headers, rule: Cors, request: Request) -> Headers:
    """An answer's headers with those of CORS, in the place of any that the function wrote itself."""
    if not rule.decorate or request.header(b"origin") is None:
        return headers
    own = tuple(pair for pair in headers if not pair[0].startswith(_PREFIX))
    mine = origin_headers(rule, request)
    if mine and rule.expose:
        mine += ((b"access-control-expose-headers", _joined(rule.expose)),)
    return own + mine


def _matches(allowed: str, origin: str) -> bool:
    pattern = "[^/]*".join(re.escape(part) for part in allowed.rstrip("/").split("*"))
    return allowed == "*" or re.fullmatch(pattern, origin, re.IGNORECASE) is not None


def _joined(names: tuple[str, ...] | list[str]) -> bytes:
    return ",".join(names).encode("latin-1", "replace")
