"""JSON Schema 2020-12 of millrace.yml, for editors: the schema of the models and the ways of writing they allow."""

from __future__ import annotations

from typing import Any

from millrace.config.check import KINDS
from millrace.config.events import METHODS
from millrace.config.schema import Project

_REFERENCE = {"type": "string", "pattern": r"^\$\{env:.*\}$"}
_NOT_TEXT = {"integer", "number", "boolean"}


def project_schema() -> dict[str, Any]:
    """The schema: unknown keys refused, short forms, keys without a value and ${env:...} references allowed."""
    schema: dict[str, Any] = _loosen(Project.model_json_schema())
    kinds = schema["$defs"]
    kinds["FunctionConfig"]["oneOf"] = [{"required": [kind]} for kind in KINDS]
    kinds["Sink"] |= {"minProperties": 1, "maxProperties": 1}
    methods = "|".join(f"{method}|{method.lower()}" for method in METHODS)
    kinds["HttpRoute"]["properties"]["method"]["pattern"] = f"^({methods})$"
    kinds["HttpEvent"]["properties"]["http"]["anyOf"].insert(
        0, {"type": "string", "pattern": rf"^\s*({methods}) +/\S*\s*$"}
    )
    overlay = {"type": ["object", "null"], "propertyNames": {"enum": list(schema["properties"])}}
    schema["properties"]["stages"]["anyOf"][0]["additionalProperties"] = overlay
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "millrace.yml"}
    return head | {key: value for key, value in schema.items() if key != "title"}


def _loosen(node: Any, parent: str = "") -> Any:
    """The same schema where a property may be null and what is no text may be an environment reference."""
    if isinstance(node, list):
        return [_loosen(item, parent) for item in node]
    if not isinstance(node, dict):
        return node
    if parent in {"properties", "$defs"}:
        return {
            name: _property(_loosen(item)) if parent == "properties" else _loosen(item) for name, item in node.items()
        }
    loosened = {key: _loosen(item, key) for key, item in node.items() if key != "title" or isinstance(item, dict)}
    if loosened.get("additionalProperties"):
        loosened["additionalProperties"] = {"anyOf": [loosened["additionalProperties"], {"type": "null"}]}
    return loosened


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    about = {key: schema.pop(key) for key in ("description", "default") if key in schema}
    branches = schema.pop("anyOf", None) or [schema]
    if any(branch.get("type") in _NOT_TEXT or "enum" in branch for branch in branches):
        branches.append(_REFERENCE)
    if {"type": "null"} not in branches:
        branches.append({"type": "null"})
    return about | {"anyOf": branches}
