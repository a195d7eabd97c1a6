"""The second argument of a handler: what Lambda tells about the invocation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from millrace.aws.arns import function_arn
from millrace.aws.environment import LATEST, memory_mb
from millrace.wire import Spec


class CognitoIdentity:
    """Who called through a mobile SDK: nobody here, so both are None, as they are for every other source on AWS."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class LambdaContext:
    """The context object of Lambda's Python runtime: seven string attributes, two objects, and the time left.

    Shape: AWS Lambda developer guide, "Using the Lambda context object to retrieve Python function information".
    """

    client_context: None = None  # set by mobile SDKs only

    def __init__(
        self,
        spec: Spec,
        request_id: str,
        deadline: float,
        *,
        log_stream_name: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deadline` is in the seconds of `monotonic`, so that a jump of the wall clock takes no time away."""
        self.function_name = spec.function
        self.function_version = LATEST
        self.invoked_function_arn = function_arn(spec)
        self.memory_limit_in_mb = memory_mb(spec)
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{spec.function}"
        self.log_stream_name = log_stream_name
        self.identity = CognitoIdentity()
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
