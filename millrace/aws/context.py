"""The second argument of a handler: what Lambda tells about the invocation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from millrace.aws.arns import function_arn, function_name
from millrace.aws.environment import LATEST, memory_mb
from millrace.wire import Spec

CLIENT_CONTEXT_ATTRIBUTE = "millrace-client-context"  # of a message: the JSON that Invoke was given


class CognitoIdentity:
    """Who called through a mobile SDK: nobody here, so both are None, as they are for every other source on AWS."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class Client:
    """The application that called, as it describes itself."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.installation_id = told.get("installation_id")
        self.app_title = told.get("app_title")
        self.app_version_name = told.get("app_version_name")
        self.app_version_code = told.get("app_version_code")
        self.app_package_name = told.get("app_package_name")


class ClientContext:
    """What the caller sent in X-Amz-Client-Context: `client`, the mappings `custom` and `env`; None where unsaid."""

    def __init__(self, told: dict[str, Any]) -> None:
        client = told.get("client")
        self.client = Client(client) if isinstance(client, dict) else None
        self.custom = told.get("custom")
        self.env = told.get("env")


class LambdaContext:
    """The context object of Lambda's Python runtime: seven string attributes, two objects, and the time left.

    Shape: AWS Lambda developer guide, "Using the Lambda context object to retrieve Python function information".
    """

    def __init__(
        self,
        spec: Spec,
        request_id: str,
        deadline: float,
        *,
        log_stream_name: str,
        client_context: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deadline` is in the seconds of `monotonic`, so that a jump of the wall clock takes no time away.

        `client_context` is JSON, an object or nothing.
        """
        self.function_name = function_name(spec)
        self.function_version = LATEST
        self.invoked_function_arn = function_arn(spec)
        self.memory_limit_in_mb = memory_mb(spec)
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = log_stream_name
        self.identity = CognitoIdentity()
        self.client_context = ClientContext(msgspec.json.decode(client_context)) if client_context else None
        self._deadline = deadline
        self._monotonic = monotonic

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is killed, never below 0."""
        return max(0, int((self._deadline - self._monotonic()) * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log, as the runtime's own `log` does."""
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        return f"LambdaContext(function_name={self.function_name!r}, aws_request_id={self.aws_request_id!r})"
