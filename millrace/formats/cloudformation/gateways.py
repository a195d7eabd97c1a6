"""API Gateway → `http:` events: OpenAPI bodies as SAM writes them, or resources, methods, routes and integrations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.cors import cors_of_http, cors_of_rest
from millrace.formats.cloudformation.resource import Resource
from millrace.formats.cloudformation.values import below, entries, is_true, items, text_of
from millrace.formats.cloudformation.weave import Weave
from millrace.formats.keys import Key, Keys

REST_API_KEYS: Keys = {
    "Name": Key("nothing to do"),
    "Description": Key("nothing to do"),
    "Body": Key("yes", "paths, methods and Lambda integrations"),
    "BodyS3Location": Key("no", "a description that lies at AWS is not read"),
    "ApiKeySourceType": Key("partly", "keys come in the header x-api-key"),
    "BinaryMediaTypes": Key("nothing to do", "bodies that are not text are base64 in any case"),
    "Parameters": Key("nothing to do"),
    "EndpointConfiguration": Key("nothing to do"),
    "DisableExecuteApiEndpoint": Key("nothing to do"),
    "MinimumCompressionSize": Key("nothing to do"),
    "FailOnWarnings": Key("nothing to do"),
    "Mode": Key("nothing to do"),
    "Policy": Key("no", "every caller that reaches the gateway may call"),
    "Tags": Key("nothing to do"),
}
HTTP_API_KEYS: Keys = {
    "Name": Key("nothing to do"),
    "Description": Key("nothing to do"),
    "ProtocolType": Key("partly", "HTTP; there are no web sockets"),
    "Body": Key("yes", "paths, methods and Lambda integrations"),
    "CorsConfiguration": Key("yes"),
    "DisableExecuteApiEndpoint": Key("nothing to do"),
    "FailOnWarnings": Key("nothing to do"),
    "RouteKey": Key("no", "name routes with AWS::ApiGatewayV2::Route"),
    "Target": Key("no", "name routes with AWS::ApiGatewayV2::Route"),
    "Tags": Key("nothing to do"),
}
_ANY_METHOD = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options", _ANY_METHOD)
_KEY_HEADER = "x-api-key"
_INVOKED = re.compile(r"functions/(arn:[^/]+)/invocations")
EVERYTHING = "/{proxy+}"
_DEFAULT = "$default"


def add_rest_api(weave: Weave, resource: Resource) -> None:
    """Give functions the paths of a REST API's body."""
    weave.examine(resource, REST_API_KEYS)
    if (body := resource.get("Body")) is not None:
        _add_paths(weave, body, "v1", None)


def add_http_api(weave: Weave, resource: Resource) -> None:
    """Give functions the paths of an HTTP API's body, or of its routes."""
    weave.examine(resource, HTTP_API_KEYS)
    if text_of(resource.get("ProtocolType")) == "WEBSOCKET":
        weave.warn(resource.properties, f"{resource.logical_id}: there are no web sockets here: left aside")
        return
    body = resource.get("Body")
    cors = cors_of_http(below(body, "x-amazon-apigateway-cors") or resource.get("CorsConfiguration"))
    if body is not None:
        _add_paths(weave, body, "v2", cors)
    for route in weave.stack.of("AWS::ApiGatewayV2::Route"):
        if text_of(route.get("ApiId")) == text_of(_ref(weave, resource)):
            _add_route(weave, route, cors)


def add_method(weave: Weave, resource: Resource) -> None:
    """Give a function the path of an AWS::ApiGateway::Method, whose resources name one part of it each."""
    uri = resource.get("Integration", "Uri")
    if uri is None:
        return  # a mock, as templates use it for CORS
    path = "/" + "/".join(reversed(list(_parts(weave, text_of(resource.get("ResourceId"))))))
    function = _function(weave, uri, resource.logical_id)
    if function is not None:
        extra = {"key": True} if is_true(resource.get("ApiKeyRequired")) else {}
        _add_http(weave, function, text_of(resource.get("HttpMethod")) or "ANY", path, "v1", extra, uri)


def add_urls(weave: Weave) -> None:
    """Give functions with a URL every path, or, where others have paths too, those below the function's name."""
    urls = [(each, weave.function(each.get("TargetFunctionArn"), each.logical_id)) for each in _urls(weave)]
    found = [(each, function) for each, function in urls if function is not None]
    alone = len(found) == 1 and not any(True for _ in _taken(weave))
    for resource, function in found:
        prefix = f"/{function}"
        if not alone:
            where = resource.get("TargetFunctionArn") or resource.properties
            weave.warn(where, f"the URL of {function} is below {prefix}/ here, since it is not the only one")
        cors = cors_of_http(resource.get("Cors"))
        for path in (_DEFAULT,) if alone else (prefix, f"{prefix}{EVERYTHING}"):
            _add_http(weave, function, "ANY", path, "v2", {"cors": cors} if cors else {}, resource.properties)


def _urls(weave: Weave) -> Iterator[Resource]:
    return weave.stack.of("AWS::Lambda::Url")


def _taken(weave: Weave) -> Iterator[Node]:
    for function in weave.section("functions").values():
        yield from (event for event in items(function.child("events")) if event.child("http") is not None)


def _add_paths(weave: Weave, body: Node, payload: str, cors: dict[str, Any] | None) -> None:
    for path, methods in entries(body.child("paths")):
        shared = cors if cors is not None else cors_of_rest(below(methods, "options"))
        for method, described in entries(methods):
            uri = below(described, _INTEGRATION, "uri")
            if method.lower() not in _METHODS or uri is None:
                continue
            function = _function(weave, uri, f"{method.upper()} {path}")
            if function is not None:
                version = text_of(below(described, _INTEGRATION, "payloadFormatVersion"))
                extra: dict[str, Any] = {"key": True} if _asks_for_key(weave, body, described, path) else {}
                extra |= {"cors": shared} if shared else {}
                said = {"1.0": "v1", "2.0": "v2"}.get(version, payload)
                verb = "ANY" if method == _ANY_METHOD else method.upper()
                _add_http(weave, function, verb, path, said, extra, described)


def _add_http(
    weave: Weave, function: str, method: str, path: str, payload: str, extra: dict[str, Any], like: Node
) -> None:
    path = _DEFAULT if path == f"/{_DEFAULT}" else path  # as OpenAPI bodies have it
    route = {"method": method, "path": path, "payload": payload, **extra}
    weave.add_event(function, {"http": route}, like)


def _asks_for_key(weave: Weave, body: Node, described: Node, path: str) -> bool:
    """Whether a method asks for an API key; that others may ask who is calling is told."""
    schemes = dict(entries(below(body, "securityDefinitions") or below(body, "components", "securitySchemes")))
    asked = [
        name for each in items(below(described, "security") or below(body, "security")) for name, _ in entries(each)
    ]
    key = False
    for name in asked:
        scheme = schemes.get(name)
        header = text_of(None if scheme is None else scheme.child("name")).lower()
        if header == _KEY_HEADER or name == "api_key":
            key = True
        else:
            weave.warn(described, f"{path}: the authorizer {name} is not asked here: every caller may call")
    return key


def _function(weave: Weave, uri: Node, where: str) -> str | None:
    """The function of an integration: its ARN stands in the URI of a REST API and is the URI of an HTTP API."""
    text = text_of(uri)
    match = _INVOKED.search(text)
    if match is None and ":lambda:" not in text:
        weave.warn(uri, f"{where}: only functions answer here: left aside")
        return None
    return weave.function(Node(match[1] if match else text, uri.place, uri.key_place), where)


def _add_route(weave: Weave, route: Resource, cors: dict[str, Any] | None) -> None:
    name = text_of(route.get("Target")).removeprefix("integrations/")
    integration = weave.stack.resources.get(name)
    uri = None if integration is None else integration.get("IntegrationUri")
    key = route.get("RouteKey") or route.properties
    if integration is None or uri is None:
        weave.warn(key, f"{route.logical_id}: only functions answer here: left aside")
        return
    function = _function(weave, uri, route.logical_id)
    if function is not None:
        method, _, path = text_of(key).partition(" ")
        payload = "v1" if text_of(integration.get("PayloadFormatVersion")) == "1.0" else "v2"
        extra = {"cors": cors} if cors else {}
        _add_http(weave, function, method if path else "ANY", path or _DEFAULT, payload, extra, key)


def _parts(weave: Weave, resource_id: str) -> Iterator[str]:
    """The parts of a path, the last one first."""
    seen: set[str] = set()
    while (found := weave.stack.resources.get(resource_id)) is not None and resource_id not in seen:
        seen.add(resource_id)
        if found.type == "AWS::ApiGateway::Resource":
            yield text_of(found.get("PathPart"))
        resource_id = text_of(found.get("ParentId"))


def _ref(weave: Weave, resource: Resource) -> Node:
    found = weave.stack.reference(resource.logical_id, resource.node)
    return found if found is not None else resource.node
