"""The bodies of /openapi.json: what goes in and what comes out, as JSON Schema."""

from __future__ import annotations

from typing import Any

from millrace.sources.http.envelopes import MEDIA

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "object", "additionalProperties": _TEXT}
_SECONDS: Json = {"type": "number", "minimum": 0}
_UNIX: Json = {"type": "number", "description": "Unix seconds."}
_BASE64: Json = {"type": "string", "contentEncoding": "base64"}


def _object(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "required": required, "properties": properties}


def content(schema: Json, media: str = "application/json") -> Json:
    """A schema as OpenAPI's content."""
    return {media: {"schema": schema}}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: Json = {
    "Receipt": _object(["id", "queue"], id=_TEXT, queue=_TEXT, duplicate={"type": "boolean"}),
    "Receipts": _object(
        ["ids", "queue"], ids={"type": "array", "items": _TEXT}, queue=_TEXT, duplicates={"type": "integer"}
    ),
    "Result": _object(
        ["id", "queue", "state"],
        id=_TEXT,
        queue=_TEXT,
        state={"enum": ["queued", "running", "retrying", "done", "dead"]},
        value={"description": "What the function returned."},
        failure=_object(["type", "message"], type=_TEXT, message=_TEXT),
        attempts={"type": "integer"},
        function=_TEXT,
        version=_TEXT,
        accepted_at=_UNIX,
        started_at=_UNIX,
        finished_at=_UNIX,
    ),
    "Results": _object(["results"], results={"type": "array", "items": _reference("Result")}),
    "Problem": _object(
        ["type", "title", "status", "detail"],
        type={"type": "string", "format": "uri"},
        title=_TEXT,
        status={"type": "integer"},
        detail=_TEXT,
        expected={"description": "What would have been accepted."},
        got={"description": "What came instead."},
    ),
    "Push": _object(
        ["message"],
        message=_object(
            ["messageId"], messageId=_TEXT, data=_BASE64, attributes=_TEXTS, publishTime=_TEXT, orderingKey=_TEXT
        ),
        subscription=_TEXT,
    ),
    "Envelope": _object([], body=_BASE64, attributes=_TEXTS, id=_TEXT, group=_TEXT, delay_s=_SECONDS, ttl_s=_SECONDS),
}

RECEIPT: Json = {"oneOf": [_reference("Receipt"), _reference("Receipts")]}
RESULT: Json = {"oneOf": [_reference("Result"), _reference("Results")]}
PUSH: Json = _reference("Push")
PROBLEM: Json = {"description": "A problem.", "content": content(_reference("Problem"), "application/problem+json")}
ENVELOPES: Json = content({"type": "array", "items": _reference("Envelope")}, MEDIA)
MESSAGE: Json = {
    "description": "One message: the body as it is. NDJSON: one message a line. A form: one message a file, whose "
    "fields become attributes. Without a type (or with the form type of curl -d): JSON if it is an object or array, "
    "else text if it is UTF-8, else bytes.",
    "content": {
        "application/json": {"schema": {}},
        "application/x-ndjson": {"schema": _TEXT},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                "additionalProperties": _TEXT,
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "*/*": {"schema": {}},
    },
}
