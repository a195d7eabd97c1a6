"""The handler contract: a function of (event, context), written for Lambda, that cannot tell the difference.

    Run → invocations (aws/invocations.py) → handler(event, context) → JSON → which messages failed

A Run that became one invocation of several records and raised is reported as failed as a whole, and the parent bisects
it: Lambda would hand over the whole batch again, healthy messages included, until they are dead together with the
culprit. Where a Run became several invocations, what one of them raises concerns its own messages only.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from millrace.aws import errors
from millrace.aws.batch_response import failures as reported
from millrace.aws.context import CLIENT_CONTEXT_ATTRIBUTE, LambdaContext
from millrace.aws.invocations import EventError, Invocation, event_of, invocations
from millrace.aws.marshal import MarshalError, marshal
from millrace.errors import LoadError
from millrace.replica.contract import failure_of
from millrace.replica.loader import resolve, version_of
from millrace.replica.output import Work, working
from millrace.replica.unloadable import loading
from millrace.replica.zappa import flexible, is_zappa
from millrace.types import Failure
from millrace.wire import Ran, Run, Spec

_NULL = b"null"


def load(spec: Spec) -> Handler:
    """Import the function; raises LoadError or what the user's module raises. `src/app.main` is `src.app.main`."""
    target = spec.target.replace("/", ".")
    with loading(spec.target):
        function = resolve(target, spec.root)
    if not callable(function):
        raise LoadError(f"{spec.target} is a {type(function).__name__}", "expected a function of (event, context)")
    if inspect.iscoroutinefunction(function):
        raise LoadError(f"{spec.target} is async", "handlers are plain functions, as on Lambda: use def")
    if is_zappa():
        function = flexible(function, target)
    # The project file may have moved the function to another region: events and ARNs follow its environment.
    spec = msgspec.structs.replace(spec, region=os.environ.get("AWS_REGION") or spec.region)
    return Handler(function, spec, version_of(target.rpartition(".")[0]))


class Handler:
    """A loaded handler, seen as a Contract."""

    def __init__(self, function: Callable[[Any, LambdaContext], Any], spec: Spec, version: str) -> None:
        self.version = version
        self._function = function
        self._spec = spec
        self._log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")

    def ahead(self, run: Run) -> None:
        """Nothing can begin before its turn: a handler is one call."""

    def run(self, run: Run, began: Callable[[], None]) -> Ran:
        """Invoke the handler for each event that the Run becomes; the time limit is the Run's, from its turn."""
        started = time.perf_counter()
        deadline = time.monotonic() + self._spec.timeout_s
        calls = list(invocations(run))
        values: list[bytes | None] = [None] * len(run.messages)
        failures: dict[int, Failure] = {}
        invoke = self._invoke if len(calls) == 1 else self._invoke_apart
        for call in calls:
            answer = invoke(call, run, deadline)
            if isinstance(answer, Failure) and len(calls) == 1 and len(call.places) > 1:
                return Ran(run.batch, [], {}, answer, time.perf_counter() - started)
            _note(call, answer, values, failures)
        return Ran(run.batch, values, failures, None, time.perf_counter() - started)

    def _invoke_apart(self, call: Invocation, run: Run, deadline: float) -> bytes | dict[int, Failure] | Failure:
        """As `_invoke`, for one call of several: its lines belong to its own messages, not to all of the Run."""
        token = working.set(Work(call.request_id, tuple(run.messages[place].id for place in call.places)))
        try:
            return self._invoke(call, run, deadline)
        finally:
            working.reset(token)

    def _invoke(self, call: Invocation, run: Run, deadline: float) -> bytes | dict[int, Failure] | Failure:
        """One call: its result as JSON, or the records that failed by index, or why all of it failed."""
        context = LambdaContext(
            self._spec,
            call.request_id,
            deadline,
            log_stream_name=self._log_stream_name,
            client_context=run.messages[call.places.start].attributes.get(CLIENT_CONTEXT_ATTRIBUTE, ""),
        )
        try:
            event, identifiers = event_of(call, run, self._spec, time.time())
            value = marshal(self._function(event, context))
        except EventError as fault:
            return Failure(errors.UNMARSHAL, str(fault), mro=(errors.UNMARSHAL, "ValueError"))
        except MarshalError as fault:
            return Failure(errors.MARSHAL, str(fault), mro=(errors.MARSHAL, "TypeError"))
        except SystemExit as exit_:
            return errors.exited(call.request_id, errors.exit_status(exit_))
        except BaseException as error:  # the process must outlive what one invocation does
            return failure_of(error)
        if call.shape == "single" or value == _NULL:
            return value
        if not run.partial:
            return _NULL
        return reported(msgspec.json.decode(value), identifiers, stream=call.shape == "stream")


def _note(
    call: Invocation,
    answer: bytes | dict[int, Failure] | Failure,
    values: list[bytes | None],
    failures: dict[int, Failure],
) -> None:
    """Put down what an invocation means to its messages: a record's value is null, since the result is the batch's."""
    for index, place in enumerate(call.places):
        if isinstance(answer, Failure):
            failures[place] = answer
        elif isinstance(answer, bytes):
            values[place] = answer
        elif index in answer:
            failures[place] = answer[index]
        else:
            values[place] = _NULL
