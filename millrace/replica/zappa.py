"""How Zappa calls a project's functions: with (event, context), with the event, or with nothing, as they take it.

Source: Zappa's README, "Executing in Response to AWS Events" and "Asynchronous Task Execution".
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

from millrace.errors import LoadError

FRAMEWORK = "Zappa"  # what Zappa puts into the variable of that name


def is_zappa() -> bool:
    """Whether this replica runs a function of a Zappa project."""
    return os.environ.get("FRAMEWORK") == FRAMEWORK


def flexible(function: Callable[..., Any], target: str) -> Callable[[Any, Any], Any]:
    """The function, called with as much of (event, context) as it takes. Raises LoadError for one that wants more."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # one in C may not tell
        return function
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return function
    places = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    needed = [each for each in places if each.default is each.empty]
    if len(needed) > 2:
        names = ", ".join(each.name for each in needed)
        raise LoadError(f"{target} wants {len(needed)} arguments ({names})", "expected (event, context), (event) or ()")
    count = min(len(places), 2)
    return lambda event, context: function(*(event, context)[:count])
