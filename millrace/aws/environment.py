"""The environment variables of a handler's replica: what Lambda's runtime sets, and whose credentials it gets.

Three sources, the first that has a name wins: the project file's `environment`, Lambda's variables, the shell that
started millrace. Of the shell's variables those that would let the handler act as the person who started it are left
out: on AWS a function has the permissions of its own role and nothing else. In their place stand credentials that
open nothing, because without any boto3 would go on to look into the home directory and the machine's metadata
service. A handler that is meant to reach AWS says so in the project file:

    environment: {AWS_PROFILE: dev}

With `aws:` in the project file the variables also lead to the local endpoint, with credentials that open it alone. A
function that sets AWS_ENDPOINT_URL itself keeps that, and one that sets credentials is meant for AWS: it gets no
endpoint.

Names: AWS Lambda developer guide, "Defined runtime environment variables"; boto3's, "Configuration".
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from millrace.aws.arns import function_name
from millrace.wire import Spec

LATEST = "$LATEST"
ENDPOINT = "AWS_ENDPOINT_URL"
_OF_ONE_SERVICE = ("AWS_ENDPOINT_URL_", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
_MOST_MB = 10_240  # of a Lambda function; what one without a limit is told
# Each of these leads a client to somebody's credentials.
CREDENTIALS = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_CONFIG_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_DEFAULT_PROFILE",
        "AWS_PROFILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
)
_NOBODY = {
    "AWS_ACCESS_KEY_ID": "millrace",
    "AWS_SECRET_ACCESS_KEY": "millrace",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def handler_environment(
    spec: Spec, inherited: Mapping[str, str], configured: Mapping[str, str], endpoint: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of one replica of a handler.

    `configured` is what the project file sets, `endpoint` what `endpoint_variables` gives where there is an endpoint.
    """
    region = configured.get("AWS_REGION") or configured.get("AWS_DEFAULT_REGION") or spec.region
    spec = msgspec.structs.replace(spec, region=region)
    shell = {name: value for name, value in inherited.items() if name not in CREDENTIALS}
    if CREDENTIALS & configured.keys():
        mine: dict[str, str] = {}
    elif endpoint is None or ENDPOINT in configured:
        mine = _NOBODY  # the key of our endpoint is for nobody else
    else:
        mine = _NOBODY | dict(endpoint)
        # What the shell says of single services would win over the one endpoint of all.
        shell = {name: value for name, value in shell.items() if not name.startswith(_OF_ONE_SERVICE)}
    return shell | runtime_variables(spec) | mine | dict(configured)


def endpoint_variables(url: str, keys: Mapping[str, str]) -> dict[str, str]:
    """What leads an SDK to the endpoint: its URL, and the first of its keys where it has any."""
    key = next(iter(keys.items()), None)
    credentials = {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]} if key else {}
    return {ENDPOINT: url, **credentials}


def runtime_variables(spec: Spec) -> dict[str, str]:
    """What Lambda's Python runtime sets for a function."""
    return {
        "_HANDLER": spec.target,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb(spec),
        "AWS_LAMBDA_FUNCTION_NAME": function_name(spec),
        "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function_name(spec)}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream_name(),
        "AWS_REGION": spec.region,
        "LAMBDA_TASK_ROOT": spec.root,
        "TZ": ":UTC",
    }


def log_stream_name() -> str:
    """A name such as Lambda gives to the log of one execution environment: the day, the version and 32 hex digits."""
    return f"{datetime.now(UTC):%Y/%m/%d}/[{LATEST}]{uuid.uuid4().hex}"


def memory_mb(spec: Spec) -> str:
    """The memory limit in MiB, as text; Lambda's largest when the function has none."""
    return str(spec.memory_bytes // 2**20 or _MOST_MB)
