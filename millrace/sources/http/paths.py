"""The gateway's paths: which endpoint answers which method where, most exact path first."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from millrace.errors import MillraceError
from millrace.source import DEFAULT_ROUTE
from millrace.sources.http import problems
from millrace.sources.http.auth import Guard
from millrace.sources.http.cors import PathCors, allows, decorated
from millrace.sources.http.replies import Reply
from millrace.sources.http.requests import Endpoint, Request
from millrace.sources.http.settings import Cors

ANY = "ANY"
ROUTE = "millrace.route"
STATUS = "millrace.status"
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class _Rest(Convertor[str]):
    """What `{rest+}` stands for: all that is left of the path, and at least something, as at API Gateway."""

    regex = ".+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("rest", _Rest())


class Paths:
    """Collects endpoints by path and method."""

    def __init__(self) -> None:
        self._endpoints: dict[str, dict[str, Endpoint]] = {}
        self._cors: dict[str, dict[str, Cors]] = {}

    def add(self, method: str, path: str, endpoint: Endpoint, cors: Cors | None = None) -> None:
        """Add one; raises MillraceError for a path that cannot be, or is answered already."""
        if path != DEFAULT_ROUTE:
            _check(path)
        methods = self._endpoints.setdefault(path, {})
        if method in methods:
            raise MillraceError(f"Two things answer {method} {path}.", "Give one of them another path.")
        methods[method] = endpoint
        if cors is not None:
            self._cors.setdefault(path, {})[method] = cors

    @property
    def known(self) -> list[str]:
        """The paths as people read them."""
        return sorted(path.replace("+}", "}") for path in self._endpoints if path != DEFAULT_ROUTE)

    def router(self, guard: Guard) -> ASGIApp:
        """The router over all that was added; the guard is asked before anything answers."""
        # Where no token is asked for, what was not meant to be there must not answer.
        default = self._endpoints.get(DEFAULT_ROUTE, {})
        apps: dict[str, ASGIApp] = {}
        for path, methods in self._endpoints.items():
            fallback = {} if guard.opens(path) else {name: default[name] for name in default.keys() - methods.keys()}
            cors = {name: rule for name, rule in self._cors.get(DEFAULT_ROUTE, {}).items() if name in fallback}
            apps[path] = PathApp(path, {**fallback, **methods}, guard, {**cors, **self._cors.get(path, {})})
        elsewhere = apps.pop(DEFAULT_ROUTE, None) or Nowhere(self.known, guard)
        plain = {path: app for path, app in apps.items() if "{" not in path}
        others = sorted((path for path in apps if path not in plain), key=_exactness)
        routes = [StarletteRoute(_starlette(path), apps[path]) for path in others]
        return PlainFirst(plain, Router(routes, redirect_slashes=False, default=elsewhere))


class PlainFirst:
    """Finds paths without parameters by name: none is more exact, and a router would try one path after the other."""

    def __init__(self, plain: Mapping[str, ASGIApp], others: ASGIApp) -> None:
        self._plain = plain
        self._others = others

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._plain.get(scope["path"], self._others)(scope, receive, send)


class PathApp:
    """One path: finds the method's endpoint, sends its reply, and notes both in the scope for whoever counts."""

    def __init__(
        self, path: str, endpoints: dict[str, Endpoint], guard: Guard, cors: dict[str, Cors] | None = None
    ) -> None:
        self._path = path
        self._endpoints = endpoints
        self._any = endpoints.get(ANY)
        self._guard = guard
        self._cors = PathCors(cors, endpoints) if cors else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[ROUTE] = self._path
        request = Request(scope, receive)
        if self._cors is None:
            self._guard.check(request)
            reply = await self._endpoint(scope["method"])(request)
        else:
            reply = self._cors.preflight(request) or await self._shared(request, self._cors)
        await reply.send(send)
        scope[STATUS] = reply.status

    async def _shared(self, request: Request, cors: PathCors) -> Reply:
        """The reply to a request that may come from a page of another site, which shall be able to read it."""
        rule = cors.rule(request.method)
        invited = rule is not None and allows(rule, request.header(b"origin") or "")
        try:
            self._guard.check(request, invited=invited)
            reply = await self._endpoint(request.method)(request)
        except problems.Disconnected:
            raise
        except Exception as error:
            problem = problems.translated(error)
            problem.headers = decorated(problem.headers, rule, request) if rule is not None else problem.headers
            raise problem from error
        if rule is None:
            return reply
        return msgspec.structs.replace(reply, headers=decorated(reply.headers, rule, request))

    def _endpoint(self, method: str) -> Endpoint:
        endpoint = self._endpoints.get(method) or self._any
        if endpoint is None and method == "HEAD":
            endpoint = self._endpoints.get("GET")
        if endpoint is None:
            raise problems.wrong_method(method, self.allowed)
        return endpoint

    @property
    def allowed(self) -> list[str]:
        """The methods that this path answers."""
        found = set(self._endpoints)
        return sorted(found | {"HEAD"} if "GET" in found else found)


class Nowhere:
    """What answers where nothing is."""

    def __init__(self, known: list[str], guard: Guard) -> None:
        self._known = known
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard.check(Request(scope, receive))
        raise problems.no_path(scope["path"], self._known)


def _check(path: str) -> None:
    rest = _PARAMETER.sub("", path)
    greedy = [found.end() for found in _PARAMETER.finditer(path) if found[2]]
    names = [found[1] for found in _PARAMETER.finditer(path)]
    if not path.startswith("/") or "{" in rest or "}" in rest or greedy not in ([], [len(path)]):
        raise MillraceError(
            f"{path!r} is no path.", "Expected one such as /images, /pets/{id} or, at the end only, /files/{rest+}."
        )
    if len(set(names)) < len(names):
        raise MillraceError(f"{path!r} has two parameters of one name.", "Give each its own.")


def _starlette(path: str) -> str:
    return _PARAMETER.sub(lambda found: f"{{{found[1]}:rest}}" if found[2] else found[0], path)


def _exactness(path: str) -> list[int]:
    """Sorts /pets/new before /pets/{id} before /pets/{rest+}."""
    return [2 if part.endswith("+}") else 1 if "{" in part else 0 for part in path.split("/")]
