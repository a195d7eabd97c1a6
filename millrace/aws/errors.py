"""Failures as Lambda reports them: the error document of an invocation, and the errors that no exception stands for.

Texts: AWS Lambda developer guide, "Troubleshoot invocation issues in Lambda" and "Lambda runtime environment"; the
runtime's own: aws-lambda-python-runtime-interface-client. Observed on the service:
`{"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: ... Error: Task timed out after 3.00 seconds"}`.
"""

from __future__ import annotations

import signal
from typing import Any

import msgspec

from millrace.types import Failure

TIMED_OUT = "Sandbox.Timedout"
EXIT = "Runtime.ExitError"
MARSHAL = "Runtime.MarshalError"
UNMARSHAL = "Runtime.UnmarshalError"
OUT_OF_MEMORY = "Runtime.OutOfMemory"
IMPORT = "Runtime.ImportModuleError"
NOT_FOUND = "Runtime.HandlerNotFound"
SYNTAX = "Runtime.UserCodeSyntaxError"
MALFORMED_HANDLER = "Runtime.MalformedHandlerName"
KILLED = frozenset({TIMED_OUT, EXIT, OUT_OF_MEMORY})  # told by the platform, since the runtime no longer could
RUNTIMES = frozenset({MARSHAL, UNMARSHAL})  # told by the runtime, which goes on
PLATFORM = ("Runtime.", "Sandbox.")


def document(failure: Failure, request_id: str) -> dict[str, Any]:
    """What an invocation that failed answers: errorMessage, errorType, requestId, stackTrace; the killed the first two.

    An exception is named without its module, as Lambda's Python runtime does.
    """
    kind = failure.type
    named = kind if kind.startswith(PLATFORM) else kind.rpartition(".")[2]
    if kind in KILLED:
        return {"errorType": named, "errorMessage": failure.message}
    trace = stack_trace(failure.traceback)
    if kind.startswith(PLATFORM):
        trace = trace[:1] if kind == SYNTAX else []
    return {"errorMessage": failure.message, "errorType": named, "requestId": request_id, "stackTrace": trace}


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
    """The process of the function ended by itself, or was killed; `code` is negative for a signal, as in subprocess.

    Without a request id, while it was loaded: `of_request` puts in whose.
    """
    return Failure(EXIT, _of(request_id, _ending(code)), mro=(EXIT,))


def out_of_memory(request_id: str, said: str) -> Failure:
    """The function was killed at its memory limit; `said` are the figures, for the log alone."""
    return Failure(
        OUT_OF_MEMORY, _of(request_id, _ending(-signal.SIGKILL)), said, mro=(OUT_OF_MEMORY, EXIT, "OutOfMemory")
    )


def of_request(failure: Failure, request_id: str) -> Failure:
    """Why a function could not be loaded, as the answer to one request."""
    if failure.type in KILLED and failure.message.startswith("Error: "):
        return msgspec.structs.replace(failure, message=f"RequestId: {request_id} {failure.message}")
    return failure


def exit_status(exit_: SystemExit) -> int:
    """The status that a process would have had: a text is printed by Python, and counts as 1."""
    if exit_.code is None:
        return 0
    return exit_.code & 0xFF if isinstance(exit_.code, int) else 1


def _of(request_id: str, text: str) -> str:
    return f"RequestId: {request_id} Error: {text}" if request_id else f"Error: {text}"


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
