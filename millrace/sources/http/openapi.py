"""/openapi.json: the project's own paths in OpenAPI 3.1, made once from the routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from millrace.source import DEFAULT_ROUTE
from millrace.sources.http.paths import ANY, METHODS
from millrace.sources.http.schemas import ENVELOPES, MESSAGE, PROBLEM, PUSH, RECEIPT, RESULT, SCHEMAS, content
from millrace.sources.http.settings import PushRoute, Route, Settings

Json = dict[str, Any]

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\+?\}")


def describe(settings: Settings, routes: Sequence[Route], queues: Sequence[str], pushes: Sequence[PushRoute]) -> Json:
    """The whole document."""
    paths = _own(settings.max_wait_s, queues)
    for push in pushes:
        _at(paths, push.path)["post"] = _push(push)
    for route in routes:
        if route.path == DEFAULT_ROUTE:
            continue  # which OpenAPI has no word for
        for method in METHODS if route.method == ANY else (route.method,):
            operation = _model(route) if route.kind == "model" else _handler(route, method)
            if route.key:
                operation["security"] = [{"key": [], "token": []} if settings.token else {"key": []}]
            _at(paths, route.path)[method.lower()] = operation
    document: Json = {
        "openapi": "3.1.0",
        "info": {"title": settings.service, "version": "1", "description": "Served by millrace."},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }
    schemes: Json = {"token": {"type": "http", "scheme": "bearer"}} if settings.token else {}
    if any(route.key for route in routes):
        schemes["key"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    if schemes:
        document["components"]["securitySchemes"] = schemes
    if settings.token:
        document["security"] = [{"token": []}]
    return document


def _at(paths: Json, path: str) -> Json:
    """The path's item, made with its parameters when it is new."""
    item: Json = paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})
    names = _PARAMETER.findall(path)
    if names:
        item["parameters"] = [_parameter("path", name, {"type": "string"}, required=True) for name in names]
    return item


def _parameter(where: str, name: str, schema: Json, description: str = "", *, required: bool = False) -> Json:
    parameter: Json = {"in": where, "name": name, "schema": schema}
    if description:
        parameter["description"] = description
    if required:
        parameter["required"] = True
    return parameter


_ATTRIBUTES = {
    **_parameter(
        "query",
        "attributes",
        {"type": "object", "additionalProperties": {"type": "string"}},
        "Any query parameters; like path parameters they become the message's attributes.",
    ),
    "style": "form",
    "explode": True,
}
_KEY = _parameter(
    "header",
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "The same key gives the first id and the first result; nothing is run again.",
)
_PREFER = _parameter(
    "header", "Prefer", {"type": "string"}, "wait=SECONDS answers 200 with the result if it comes in time."
)
_ACCEPTED: Json = {
    "description": "Durably accepted: one id, or ids where the body held several messages.",
    "headers": {"Location": {"schema": {"type": "string"}, "description": "Where the result will be."}},
    "content": content(RECEIPT),
}


def _model(route: Route) -> Json:
    return {
        "operationId": f"{route.function}.{route.method.lower()}.{route.path}",
        "summary": route.description or f"Send to {route.function}",
        "tags": [route.function],
        "parameters": [_PREFER, _KEY, _ATTRIBUTES],
        "requestBody": MESSAGE,
        "responses": {"200": _found("The result, which came in time."), "202": _ACCEPTED, "default": PROBLEM},
    }


def _handler(route: Route, method: str) -> Json:
    operation: Json = {
        "operationId": f"{route.function}.{method.lower()}.{route.path}",
        "summary": route.description or f"Call {route.function}",
        "tags": [route.function],
        "parameters": [_KEY],
        "responses": {
            "200": {"description": "What the handler answered; status and type are its own."},
            "default": PROBLEM,
        },
    }
    if method not in ("GET", "HEAD", "DELETE"):
        operation["requestBody"] = {"content": {"*/*": {"schema": {}}}}
    return operation


def _push(route: PushRoute) -> Json:
    operation: Json = {
        "operationId": f"{route.function}.push.{route.path}",
        "summary": f"Push to {route.function}",
        "tags": [route.function],
        "requestBody": {"required": True, "content": content(PUSH)},
        "responses": {"204": {"description": "Durably accepted."}, "default": PROBLEM},
    }
    if route.token:
        operation["security"] = []
        operation["parameters"] = [
            _parameter("query", "token", {"type": "string"}, "The subscription's token, if not sent as a Bearer token.")
        ]
    return operation


def _own(max_wait_s: float, queues: Sequence[str]) -> Json:
    """The gateway's own paths."""
    wait = _parameter(
        "query", "wait", {"type": "number", "minimum": 0, "maximum": max_wait_s}, "Seconds to wait for the result."
    )
    paths: Json = {
        "/healthz": {"get": {**_get("healthz", "Is the process alive", "It is."), "security": []}},
        "/readyz": {"get": {**_get("readyz", "Is every function loaded", "Ready."), "security": []}},
        "/metrics": {
            "get": {
                **_get("metrics", "Prometheus metrics", "The metrics."),
                "responses": {"200": {"description": "The metrics.", "content": {"text/plain": {}}}},
            }
        },
    }
    result = _get("result", "What became of a message", "The message's record.")
    result["parameters"] = [wait]
    result["responses"]["200"] = _found("The message's record.")
    _at(paths, "/results/{id}")["get"] = result
    if queues:
        item = _at(paths, "/queues/{name}")
        item["parameters"][0]["schema"] = {"enum": sorted(queues)}
        item["post"] = _queue()
    return paths


def _queue() -> Json:
    said = {
        "Millrace-Id": "The message's id; the queue takes each id once.",
        "Millrace-Group": "The message group of a FIFO queue.",
        "Millrace-Delay": "Seconds before the message can be taken.",
        "Millrace-TTL": "Seconds after which an unprocessed message becomes a dead letter.",
    }
    headers = [_parameter("header", name, {"type": "string"}, text) for name, text in said.items()]
    return {
        "operationId": "put",
        "summary": "Put messages into a queue",
        "parameters": [_PREFER, _KEY, _ATTRIBUTES, *headers],
        "requestBody": {**MESSAGE, "content": {**MESSAGE["content"], **ENVELOPES}},
        "responses": {"200": _found("The result, which came in time."), "202": _ACCEPTED, "default": PROBLEM},
    }


def _get(operation_id: str, summary: str, description: str) -> Json:
    responses: Json = {"200": {"description": description, "content": {"application/json": {}}}, "default": PROBLEM}
    return {"operationId": operation_id, "summary": summary, "responses": responses}


def _found(description: str) -> Json:
    return {"description": description, "content": content(RESULT)}
