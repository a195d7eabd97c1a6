"""The samples that AWS's own tool prints against the events that millrace makes, field by field.

Every field of theirs must be in ours with the same type, and the other way round; what differs is listed with the
reason, and a difference that is no longer there is a failure too.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace.aws.samples import Sample, sample
from tests.needs import tool

_FREE = {"headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "pathParameters"}
_FREE |= {"stageVariables", "messageAttributes", "MessageAttributes", "Keys", "NewImage", "OldImage", "detail"}

CASES: dict[str, tuple[str, set[str]]] = {
    "sqs receive-message": ("queue", set()),
    "s3 put": ("created", set()),
    "s3 delete": ("removed", set()),
    "dynamodb update": ("table", set()),
    "sns notification": ("topic", set()),
    # The tool's sample is older than the version field of today's events.
    "cloudwatch scheduled-event": ("schedule", {"+version"}),
    "apigateway aws-proxy": (
        "rest",
        {
            # Today's proxy events carry these, the sample does not.
            "+requestContext.domainName",
            "+requestContext.domainPrefix",
            "+requestContext.extendedRequestId",
            "+requestContext.identity.principalOrgId",
            # What our server has no word for is null, as it is at AWS without a caller's identity.
        },
    ),
    "apigateway http-api-proxy": (
        "http",
        {
            # Only with mutual TLS, an authorizer or stage variables, none of which there is here.
            "-requestContext.authentication",
            "-requestContext.authorizer",
            "-cookies",
            "-stageVariables",
        },
    ),
}


@pytest.mark.parametrize("command", CASES)
def test_every_field_has_its_type(command: str, tmp_path: Path) -> None:
    ours, allowed = CASES[command]
    theirs = _printed(command, tmp_path)
    body = '{"test": "body"}' if "proxy" in command else '{"Id": "101"}' if "dynamodb" in command else ""
    made = sample(ours, Sample(body=body))
    assert set(_differences(_first_record(theirs), _first_record(made))) == allowed


def _printed(command: str, home: Path) -> Any:
    variables = {**os.environ, "SAM_CLI_TELEMETRY": "0", "HOME": str(home)}
    done = subprocess.run(
        [tool("sam"), "local", "generate-event", *command.split()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=variables,
    )
    return json.loads(done.stdout)


def _first_record(event: Any) -> Any:
    return {"Records": event["Records"][:1]} if "Records" in event else event


def _differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """`-path` is missing in ours, `+path` in theirs, `~path` is of another type."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if path.rpartition(".")[2] in _FREE:
            return
        for name in theirs.keys() | ours.keys():
            below = f"{path}.{name}".lstrip(".")
            if name not in ours:
                yield f"-{below}"
            elif name not in theirs:
                yield f"+{below}"
            else:
                yield from _differences(theirs[name], ours[name], below)
    elif isinstance(theirs, list) and isinstance(ours, list):
        for one, other in zip(theirs, ours, strict=False):
            yield from _differences(one, other, f"{path}[]")
    elif type(theirs) is not type(ours) and theirs is not None and ours is not None:
        yield f"~{path}"
