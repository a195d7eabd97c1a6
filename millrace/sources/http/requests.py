"""One request as the endpoints read it: headers by name, query and path parameters, the body still on its way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from millrace.sources.http import problems
from millrace.sources.http.replies import Reply

KEY_NAME = "millrace.key"
WHOLE = "millrace.whole"  # in a scope once all of the request's body has arrived, where the server says so
_MAX_QUERY_FIELDS = 200


class Request:
    """A thin view of an ASGI scope; nothing is parsed before it is asked for."""

    __slots__ = ("_headers", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self._headers: dict[bytes, bytes] = dict(scope["headers"])

    @property
    def method(self) -> str:
        """The HTTP method, upper case."""
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        """The path, decoded."""
        return str(self.scope["path"])

    def header(self, name: bytes) -> str | None:
        """A header's value by its lower-case name, None when it was not sent."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def has(self, name: bytes) -> bool:
        """Whether a header was sent, by its lower-case name."""
        return name in self._headers

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers in order, names in lower case, values of a repeated name joined with a comma."""
        found: dict[str, str] = {}
        for name, value in self.scope["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            found[key] = f"{found[key]},{text}" if key in found else text
        return list(found.items())

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query parameters in order; raises a 400 problem beyond 200 of them."""
        text = self.scope["query_string"]
        if not text:
            return []
        try:
            return parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
        except ValueError:
            raise problems.bad_request(
                "The query string has too many parameters.", expected=f"at most {_MAX_QUERY_FIELDS}"
            ) from None

    @property
    def path_parameters(self) -> dict[str, str]:
        """What stood in the place of each `{name}` of the route; the dict is the request's own."""
        parameters: dict[str, str] = self.scope.get("path_params") or {}
        return parameters

    @property
    def key_name(self) -> str:
        """The name of the API key that the path asked for and got, empty where it asked for none."""
        return str(self.scope.get(KEY_NAME, ""))

    @property
    def source_ip(self) -> str:
        """The address of the peer, empty when it is unknown."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""


Endpoint = Callable[[Request], Awaitable[Reply]]
