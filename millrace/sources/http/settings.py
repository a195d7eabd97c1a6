"""What the gateway is told by the composition root: its limits, its paths, and how ready the functions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """The gateway's limits; bytes and seconds. `token` None means loopback only."""

    service: str
    token: str | None = None
    max_body_bytes: int = 16_000_000
    max_wait_s: float = 60.0
    max_messages: int = 10_000  # of one request
    max_attributes: int = 100  # of one message
    max_attribute_bytes: int = 16_384  # names and values of one message together
    max_buffered_bytes: int = 256_000_000  # bodies of all requests in flight
    api_keys: Mapping[str, str] = {}  # names and values, for routes that ask for one
    max_waiting: int = 10_000  # requests that are held until a result is there
    body_timeout_s: float = 60.0
    linger_s: float = 2.0  # that the rest of a refused body is thrown away before the connection is closed


class Cors(msgspec.Struct, frozen=True):
    """What pages of other sites may do at a path; `methods` empty means those that the path has.

    `decorate` says whether the gateway writes the headers of every answer, or answers preflight requests alone.
    """

    origins: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: float | None = None
    decorate: bool = True


class Route(msgspec.Struct, frozen=True):
    """A function's path: a model's messages go into `queue`, a handler is called and answered within `timeout_s`.

    `key` says whether it asks for one of the gateway's API keys.
    """

    method: str  # or ANY
    path: str  # /pets/{id}, /files/{rest+}
    function: str
    queue: str
    kind: Literal["model", "handler", "wsgi"]
    description: str = ""
    payload: Literal["v1", "v2"] = "v2"
    timeout_s: float = 30.0
    key: bool = False
    cors: Cors | None = None


class PushRoute(msgspec.Struct, frozen=True):
    """A path to which a Pub/Sub-style subscription posts; `token` is what its requests must carry."""

    path: str
    function: str
    queue: str
    token: str | None = None


class Readiness(msgspec.Struct, frozen=True):
    """Whether this process can work; `details` is shown to clients: JSON-able, and free of tracebacks."""

    ready: bool
    details: Mapping[str, Any]
