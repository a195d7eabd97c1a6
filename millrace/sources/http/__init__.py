"""The HTTP gateway: requests become messages, records become responses."""

from millrace.sources.http.app import create_app
from millrace.sources.http.auth import check_bind
from millrace.sources.http.calls import Caller
from millrace.sources.http.server import Server
from millrace.sources.http.settings import Cors, PushRoute, Readiness, Route, Settings
from millrace.sources.http.starting import starting

__all__ = [
    "Caller",
    "Cors",
    "PushRoute",
    "Readiness",
    "Route",
    "Server",
    "Settings",
    "check_bind",
    "create_app",
    "starting",
]
