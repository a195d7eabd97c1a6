"""Tries whether user code is there: `python -m millrace.replica.probe KIND TARGET ROOT`, for `millrace check`.

It imports the module and finds the name, but makes nothing and loads nothing. Standard output is one JSON document:
null, or the Failure. What user code prints meanwhile goes to standard error.
"""

from __future__ import annotations

import inspect
import os
import sys

import msgspec

from millrace.errors import LoadError
from millrace.replica.contract import failure_of
from millrace.replica.loader import resolve, suggest
from millrace.types import Failure


def probe(kind: str, target: str, root: str) -> Failure | None:
    """Why the function cannot be found, None when it can."""
    try:
        found = resolve(target.replace("/", ".") if kind == "handler" else target, root)
        if not callable(found):
            raise LoadError(f"{target} is a {type(found).__name__}", f"expected {_EXPECTED[kind]}")
        if kind == "model" and inspect.isclass(found) and not callable(getattr(found, "predict", None)):
            names = [name for name in dir(found) if not name.startswith("_")]
            raise LoadError(f"{target} has no predict method", suggest("predict", names, target))
        if kind == "wsgi":
            from millrace.replica.wsgi import adapter

            adapter()
        if kind == "handler" and inspect.iscoroutinefunction(found):
            raise LoadError(f"{target} is async", "handlers are plain functions, as on Lambda: use def")
    except BaseException as error:  # a module may raise SystemExit while it is imported
        return failure_of(error)
    return None


_EXPECTED = {
    "model": "a class with a predict method",
    "handler": "a function of (event, context)",
    "wsgi": "a WSGI application",
}


def main(arguments: list[str]) -> None:
    """Answer on the real standard output, which user code does not get to see."""
    answer = os.dup(1)
    os.dup2(2, 1)
    os.chdir(arguments[2])
    failure = probe(arguments[0], arguments[1], arguments[2])
    with os.fdopen(answer, "wb") as stream:
        stream.write(msgspec.json.encode(failure))
    sys.stdout.flush()
    os._exit(0)  # threads that the module started do not keep us


if __name__ == "__main__":
    main(sys.argv[1:])
