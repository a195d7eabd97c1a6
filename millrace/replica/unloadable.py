"""Why a handler cannot be loaded, as Lambda's Python runtime names it; what we know beyond that stays in the log.

Types and texts: aws-lambda-python-runtime-interface-client, bootstrap.py, `_get_handler`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from millrace.aws import errors
from millrace.errors import LoadError
from millrace.replica.contract import Unloadable, failure_of
from millrace.types import Failure


@contextmanager
def loading(target: str) -> Iterator[None]:
    """Around the import of what `handler:` or `wsgi:` names.

    Raises Unloadable for what Lambda has a type for; other errors of the user's module pass through.
    """
    try:
        yield
    except SystemExit as exit_:
        ours = failure_of(exit_)
        raise Unloadable(_beside(errors.exited("", errors.exit_status(exit_)), ours)) from exit_
    except (LoadError, ImportError, SyntaxError) as error:
        type_, text, trace = _fault(error, target)
        ours = failure_of(error)
        raise Unloadable(_beside(Failure(type_, text, trace, mro=(type_,)), ours)) from error


def _fault(error: Exception, target: str) -> tuple[str, str, str]:
    """Lambda's type, text and stack trace; a target such as src/app.main is named as the project file has it."""
    module, dot, name = target.rpartition(".")
    if not dot:
        problem = "not enough values to unpack (expected 2, got 1)"
        return errors.MALFORMED_HANDLER, f"Bad handler '{target}': {problem}", ""
    if isinstance(error, SyntaxError):
        trace = f'  File "{error.filename}" Line {error.lineno}\n    {error.text or ""}'.rstrip()
        return errors.SYNTAX, f"Syntax error in module '{module}': {error}", trace
    cause = error if isinstance(error, ImportError) else _import_error(module.replace("/", "."))
    if cause is not None:
        return errors.IMPORT, f"Unable to import module '{module}': {cause}", ""
    return errors.NOT_FOUND, f"Handler '{name}' missing on module '{module}'", ""


def _import_error(module: str) -> ImportError | None:
    """What Python says of a module that was not found, None when it is there."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return error
    return None


def _beside(lambdas: Failure, ours: Failure) -> Failure:
    """Lambda's failure with what we know behind its stack trace, and with both names for `dead_on`."""
    said = f"{ours.type}: {ours.message}" if ours.message else ours.type
    known = [lambdas.traceback, *([] if ours.traceback.endswith(said) else [said]), ours.traceback]
    return Failure(lambdas.type, lambdas.message, "\n".join(filter(None, known)), mro=(*lambdas.mro, *ours.mro))
