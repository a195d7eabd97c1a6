"""Paths of the gateway: their syntax, what millrace keeps for itself, and who has which."""

from __future__ import annotations

import re
from collections.abc import Iterator

from millrace.config.events import METHODS, HttpEvent, PushEvent
from millrace.config.faults import nearest, one_of
from millrace.config.findings import Finding, Path
from millrace.config.schema import Project
from millrace.source import DEFAULT_ROUTE

RESERVED = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/results", "/queues")
_SEGMENT = re.compile(r"[A-Za-z0-9._~%@:+-]+|\{[A-Za-z_]\w*\}")
_REST = re.compile(r"\{[A-Za-z_]\w*\+\}")


def check_routes(project: Project) -> Iterator[Finding]:
    """Findings about the paths of http and push events."""
    taken: dict[tuple[str, str], str] = {}
    for name, function in project.functions.items():
        for index, event in enumerate(function.events):
            path: Path = ("functions", name, "events", index)
            if isinstance(event, HttpEvent):
                yield from _method(event.method, (*path, "http", "method"))
                yield from _route(event.method, event.path, name, (*path, "http", "path"), taken)
                yield from _key(project, event, (*path, "http", "key"))
            elif isinstance(event, PushEvent):
                yield from _route("POST", event.push, name, (*path, "push"), taken)


def _key(project: Project, event: HttpEvent, path: Path) -> Iterator[Finding]:
    if event.http.key and not project.gateway.api_keys:
        what = f"{event.method} {event.path} asks for an API key and there is none: every request gets 403"
        yield Finding(path, what, "names under `gateway.api_keys`", severity="warning")


def _method(method: str, path: Path) -> Iterator[Finding]:
    if method not in METHODS:
        near = nearest(method, METHODS)
        yield Finding(path, "unknown HTTP method", one_of(METHODS), repr(method), near)


def _route(method: str, route: str, function: str, path: Path, taken: dict[tuple[str, str], str]) -> Iterator[Finding]:
    if problem := "" if route == DEFAULT_ROUTE else path_problem(route):
        yield Finding(path, problem, "a path such as /images or /pets/{id}", repr(route))
        return
    first = "/" + route.partition("/")[2].partition("/")[0]
    if first in RESERVED:
        yield Finding(path, f"{first} is millrace's own", "another path", repr(route))
        return
    shape = re.sub(r"\{\w+(\+?)\}", r"{\1}", route)  # /pets/{id} and /pets/{rest+} are two paths, as at API Gateway
    clash = next((owner for (other, known), owner in taken.items() if known == shape and _overlap(method, other)), None)
    if clash is not None:
        yield Finding(path, f"{method} {route} is already a path of functions.{clash}", "each method and path once")
    taken.setdefault((method, shape), function)


def _overlap(one: str, other: str) -> bool:
    return one == other or "ANY" in {one, other}


def path_problem(route: str) -> str:
    """What is wrong with a path's syntax, empty when nothing is."""
    if not route.startswith("/"):
        return "a path begins with /"
    segments = route[1:].split("/")
    if segments == [""]:
        return ""
    names = re.findall(r"\{(\w+)\+?\}", route)
    if len(set(names)) < len(names):
        return "a path names a parameter twice"
    for index, segment in enumerate(segments):
        rest = index == len(segments) - 1 and _REST.fullmatch(segment)
        if segment in {".", ".."} or not (_SEGMENT.fullmatch(segment) or rest):
            return f"a path cannot have the part {segment!r}"
    return ""
