"""A request to the endpoint and its answer, free of any web server, so that services can be driven directly."""

from __future__ import annotations

import msgspec


class Call(msgspec.Struct, frozen=True):
    """One request: `query` is the raw query string without `?`, header names are lower case.

    `path` is as it was sent, percent-encoded. `region` comes from the signature's scope, or is the endpoint's own
    where nothing was signed; `account` is the endpoint's.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""
    region: str = "us-east-1"
    account: str = "000000000000"

    @property
    def origin(self) -> str:
        """The scheme and host by which the client reached us, `http://127.0.0.1` where it did not say."""
        scheme = "https" if self.headers.get("x-forwarded-proto") == "https" else "http"
        return f"{scheme}://{self.headers.get('host', '127.0.0.1')}"


class Reply(msgspec.Struct, frozen=True):
    """The answer to a call; header names are lower case, and the content length is the server's business."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""
