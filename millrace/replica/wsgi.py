"""The wsgi contract: a WSGI application behind the gateway, called with API Gateway's event as apig-wsgi reads it.

    Run → API Gateway event (v1) → environ → application → API Gateway response → JSON

A Zappa project's own calls (`zappa.asynchronous.task`) come here too: an event whose `command` names a function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from millrace.errors import LoadError
from millrace.replica.handler import Handler
from millrace.replica.loader import resolve, version_of
from millrace.replica.unloadable import loading
from millrace.replica.zappa import flexible
from millrace.wire import Spec


def load(spec: Spec) -> Handler:
    """Import the application; raises LoadError or what the user's module raises."""
    adapt = adapter()
    with loading(spec.target):
        application = resolve(spec.target, spec.root)
    if not callable(application):
        raise LoadError(f"{spec.target} is a {type(application).__name__}", "expected a WSGI application")
    return Handler(Application(adapt(application), spec.root), spec, version_of(spec.target.rpartition(".")[0]))


def adapter() -> Callable[[Any], Callable[[dict[str, Any], Any], dict[str, Any]]]:
    """What makes a handler of an application; raises LoadError where apig-wsgi is not installed."""
    try:
        from apig_wsgi import make_lambda_handler
    except ImportError:
        hint = "pip install 'millrace[zappa]', which brings apig-wsgi"
        raise LoadError("WSGI applications need the package apig-wsgi, which is not installed", hint) from None
    # Every body as base64: as text it would have to be UTF-8, and a page in another encoding would fail.
    return lambda application: make_lambda_handler(
        application, binary_support=True, non_binary_content_type_prefixes=()
    )


class Application:
    """A WSGI application as a handler of (event, context)."""

    def __init__(self, serve: Callable[[dict[str, Any], Any], dict[str, Any]], root: str) -> None:
        self._serve = serve
        self._root = root

    def __call__(self, event: Any, context: Any) -> Any:
        """Answer a request, or run the function that `command` names. Raises TypeError for any other event."""
        if isinstance(event, dict):
            if "httpMethod" in event and "path" in event:
                # API Gateway's path is decoded; WSGI wants its bytes, which apig-wsgi takes from percent signs.
                return self._serve(event | {"path": quote(str(event["path"]))}, context)
            if "rawPath" in event:
                return self._serve(event, context)
            if isinstance(command := event.get("command"), str):
                return flexible(resolve(command, self._root), command)(event, context)
        raise TypeError(
            "a WSGI application is called by requests (API Gateway's event) or by an event with `command`, "
            f"got {type(event).__name__}{f' with {sorted(event)}' if isinstance(event, dict) else ''}"
        )
