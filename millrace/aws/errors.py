"""Failures as Lambda reports them: the error document of an invocation, and the errors that no exception stands for.

Texts: AWS Lambda developer guide, "Troubleshoot invocation issues in Lambda"; observed on the service:
`{"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: ... Error: Task timed out after 3.00 seconds"}`.
"""

from __future__ import annotations

import signal
from typing import Any

from millrace.types import Failure

TIMED_OUT = "Sandbox.Timedout"
EXIT = "Runtime.ExitError"
MARSHAL = "Runtime.MarshalError"
UNMARSHAL = "Runtime.UnmarshalError"
_PLATFORM = ("Runtime.", "Sandbox.")


def document(failure: Failure, request_id: str) -> dict[str, Any]:
    """What an invocation that failed answers: errorMessage, errorType, requestId, stackTrace.

    An exception is named without its module, as Lambda's Python runtime does.
    """
    kind = failure.type
    return {
        "errorMessage": failure.message,
        "errorType": kind if kind.startswith(_PLATFORM) else kind.rpartition(".")[2],
        "requestId": request_id,
        "stackTrace": stack_trace(failure.traceback),
    }


def stack_trace(traceback: str) -> list[str]:
    """A traceback's frames, one text each, outermost first; of a chain of exceptions the last."""
    frames: list[str] = []
    for line in traceback.splitlines():
        if line.startswith("Traceback "):
            frames = []
        elif line.startswith('  File "'):
            frames.append(line + "\n")
        elif frames and line.startswith("    "):
            frames[-1] += line + "\n"
    return frames


def timed_out(request_id: str, timeout_s: float) -> Failure:
    """The function was killed at its time limit."""
    text = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return Failure(TIMED_OUT, text, mro=(TIMED_OUT, "Timeout"))


def exited(request_id: str, code: int) -> Failure:
    """The process of the function ended by itself, or was killed; `code` is negative for a signal, as in subprocess."""
    return Failure(EXIT, f"RequestId: {request_id} Error: {_ending(code)}", mro=(EXIT,))


def _ending(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    return f"Runtime exited with error: signal: {_SIGNALS.get(-code, str(-code))}"


# As Go, in which Lambda's supervisor is written, calls them.
_SIGNALS: dict[int, str] = {
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGILL: "illegal instruction",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
}
