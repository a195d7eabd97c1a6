"""What API Gateway answers to browsers' preflight requests → `cors:`."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below, entries, integer, is_true, items, text_of

_HEADER = "method.response.header.access-control-"
_LISTS = {"allow-headers": "headers", "allow-methods": "methods"}


def cors_of_http(configured: Node | None) -> dict[str, Any] | None:
    """An HTTP API's or a function URL's CORS; keys begin with a capital in templates, with none in bodies."""
    if configured is None or not isinstance(configured.value, dict):
        return None
    said = {key.lower(): value for key, value in configured.value.items() if value.value is not None}
    found: dict[str, Any] = {}
    for key, word in (
        ("alloworigins", "origins"),
        ("allowheaders", "headers"),
        ("allowmethods", "methods"),
        ("exposeheaders", "expose"),
    ):
        if key in said:
            found[word] = items(said[key])
    if "methods" in found and [text_of(each) for each in found["methods"]] == ["*"]:
        del found["methods"]
    if is_true(said.get("allowcredentials")):
        found["credentials"] = True
    if "maxage" in said:
        found["max_age"] = integer(said["maxage"])
    return found or None


def cors_of_rest(options: Node | None) -> dict[str, Any] | None:
    """What a path's OPTIONS method of a REST API says as a mock: header values in single quotes."""
    integration = below(options, "x-amazon-apigateway-integration")
    responses = [each for _, each in entries(below(integration, "responses"))]
    for response in responses:
        headers = {
            key.lower().removeprefix(_HEADER): text_of(value).strip("'")
            for key, value in entries(below(response, "responseParameters"))
            if key.lower().startswith(_HEADER)
        }
        if headers:
            return _from_headers(headers)
    return None


def _from_headers(headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"origins": [headers.get("allow-origin", "*")]}
    for key, word in _LISTS.items():
        if headers.get(key):
            found[word] = [part.strip() for part in headers[key].split(",") if part.strip() and part.strip() != "*"]
    if headers.get("allow-credentials") == "true":
        found["credentials"] = True
    if headers.get("max-age", "").isdecimal():
        found["max_age"] = int(headers["max-age"])
    return found
