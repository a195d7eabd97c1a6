"""Every error a client can get, as application/problem+json (RFC 9457): what is wrong, what was expected, what came."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from millrace import errors
from millrace.ids import new_id
from millrace.sources.http.replies import Reply, encode

CONTENT_TYPE = b"application/problem+json"
RETRY_AFTER = ((b"retry-after", b"1"),)
_RETRY_AFTER_DRAIN = ((b"retry-after", b"5"),)
_CLOSE = ((b"connection", b"close"),)
_MAX_SHOWN = 20

_log = logging.getLogger("millrace.gateway")

Headers = tuple[tuple[bytes, bytes], ...]


class Problem(Exception):
    """A refusal that becomes the response; `kind` ends the problem's type URN, extras are its extension members."""

    def __init__(self, status: int, kind: str, title: str, detail: str, headers: Headers = (), **extras: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.headers = headers
        self.unread = False  # whether the rest of the body is still on its way
        self.extras = extras

    def reply(self) -> Reply:
        """The response that tells the client."""
        told = {
            "type": f"urn:millrace:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": str(self),
            **self.extras,
        }
        return Reply(self.status, encode(told), CONTENT_TYPE, self.headers)


class Disconnected(Exception):
    """The client went away before its request was complete."""


def bad_request(detail: str, **extras: Any) -> Problem:
    """A request that cannot mean anything; what was expected and got."""
    return Problem(400, "bad-request", "The request is malformed", detail, **extras)


def not_json(detail: str, got: str, **extras: Any) -> Problem:
    """A body that is declared as JSON and is none."""
    return Problem(400, "not-json", "The body is not JSON", detail, expected="valid JSON in UTF-8", got=got, **extras)


def unauthorized(expected: str) -> Problem:
    """No token, or the wrong one."""
    challenge = ((b"www-authenticate", b'Bearer realm="millrace"'),)
    return Problem(
        401, "unauthorized", "A token is needed", "The token is missing or wrong.", challenge, expected=expected
    )


def cross_site(origin: str) -> Problem:
    """A web page of another site asked, through a local user's browser."""
    detail = (
        "Without a token this gateway serves programs of this machine, not pages of other sites. "
        "Start it with MILLRACE_TOKEN set to allow more."
    )
    return Problem(403, "cross-site", "Refused: the request comes from another site", detail, got=origin[:200])


def misdirected(host: str) -> Problem:
    """The Host is no name of this machine: a rebound name, or a proxy that passes its own on."""
    detail = (
        "Without a token this gateway answers only under a loopback name, so that no web page can reach it by "
        "rebinding its own name. Start it with MILLRACE_TOKEN set to allow other names."
    )
    expected = "localhost, 127.0.0.1 or [::1]"
    return Problem(421, "misdirected", "Refused: not a loopback host name", detail, expected=expected, got=host[:200])


def no_path(path: str, known: Sequence[str]) -> Problem:
    """Nothing is at this path; the nearest that there is."""
    near = nearest(path, known)
    detail = f"There is nothing at {path[:200]}."
    if near:
        detail += f" Did you mean {near}?"
    return Problem(404, "no-such-path", "Unknown path", detail, known=list(known)[:_MAX_SHOWN])


def no_queue(name: str, known: Sequence[str]) -> Problem:
    """No queue of that name is declared; the nearest that is."""
    near = nearest(name, known)
    detail = f"No queue is called {name[:200]!r}."
    if near:
        detail += f" Did you mean {near!r}?"
    return Problem(404, "no-such-queue", "Unknown queue", detail, known=list(known)[:_MAX_SHOWN])


def no_result(id: str) -> Problem:
    """Nothing is known of this id, or no longer."""
    detail = f"Nothing is known of {id[:200]!r}: it was never accepted here, or longer ago than results are kept."
    return Problem(404, "no-such-result", "Unknown id", detail)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, None when none is near."""
    found = difflib.get_close_matches(name[:200], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def wrong_method(method: str, allowed: Sequence[str]) -> Problem:
    """The path is there, but not for this method."""
    allow = ", ".join(allowed)
    return Problem(
        405,
        "wrong-method",
        "Method not allowed",
        f"This path does not answer {method[:20]}.",
        ((b"allow", allow.encode("latin-1")),),
        expected=allow,
        got=method[:20],
    )


def too_slow(limit_s: float) -> Problem:
    """The body did not end in time."""
    detail = f"The body was not complete after {limit_s:g} s."
    return Problem(408, "body-timeout", "The body came too slowly", detail, _CLOSE)


def headers_too_slow(limit_s: float) -> Problem:
    """The headers did not end in time."""
    detail = f"The headers were not complete after {limit_s:g} s."
    return Problem(408, "headers-timeout", "The headers came too slowly", detail)


def too_large(limit_bytes: int, got_bytes: int | None) -> Problem:
    """The body is over the limit; `got_bytes` None when it did not say how long it is."""
    got = "more" if got_bytes is None else f"{got_bytes} bytes"
    return Problem(
        413,
        "too-large",
        "The body is too large",
        f"The body is over the limit of {limit_bytes} bytes; nothing of it was stored.",
        expected=f"at most {limit_bytes} bytes",
        got=got,
    )


def too_many(what: str, limit: int) -> Problem:
    """More messages or parts in one request than are taken."""
    return Problem(
        413,
        "too-many",
        f"Too many {what} in one request",
        f"The request holds more than {limit} {what}; nothing of it was stored. Send them in several requests.",
        expected=f"at most {limit} {what}",
    )


def unsupported(got: str, expected: str, headers: Headers = ()) -> Problem:
    """A content type or encoding that is not read."""
    detail = f"The gateway cannot read {got[:200]!r} here."
    return Problem(
        415, "unsupported-media-type", "Unsupported media type", detail, headers, expected=expected, got=got[:200]
    )


def attributes_too_large(detail: str, expected: str) -> Problem:
    """More attributes than a message may have."""
    return Problem(431, "attributes-too-large", "Too many or too large attributes", detail, expected=expected)


def headers_too_large(limit_bytes: int) -> Problem:
    """More bytes of headers than are read."""
    detail = f"The request line and headers are over {limit_bytes} bytes."
    return Problem(431, "headers-too-large", "The headers are too large", detail, _CLOSE)


def not_http() -> Problem:
    """What was sent is no HTTP request."""
    return Problem(400, "not-http", "Not HTTP", "What came is not an HTTP/1.1 request.", _CLOSE)


def busy(what: str) -> Problem:
    """A limit of the moment: the same request may succeed later."""
    return Problem(429, "gateway-busy", "The gateway is at its limit", f"{what} Try again shortly.", RETRY_AFTER)


def draining() -> Problem:
    """This process is shutting down."""
    detail = "This gateway is shutting down and takes nothing new; what it accepted is safe."
    return Problem(503, "draining", "Shutting down", detail, _RETRY_AFTER_DRAIN)


def starting() -> Problem:
    """This process waits for its broker or its database."""
    detail = "This gateway waits for its broker or its database; nothing was stored."
    return Problem(503, "starting", "Starting", detail, _RETRY_AFTER_DRAIN)


def not_ready(details: Mapping[str, Any] | None) -> Problem:
    """A function is not loaded, or something is away; `details` say what and why, None for those who may not know."""
    if details is None:
        detail = "A function is not loaded, or broker or database is away; with the token, details says which and why."
        return Problem(503, "not-ready", "Not ready", detail, RETRY_AFTER)
    detail = "A function is not loaded, or broker or database is away; details says which and why."
    return Problem(503, "not-ready", "Not ready", detail, RETRY_AFTER, details=details)


def translated(error: Exception) -> Problem:
    """The problem that an exception of the rooms below means to a client; anything unforeseen is logged with its id."""
    match error:
        case Problem():
            return error
        case errors.QueueFull():
            return Problem(429, "queue-full", "The queue is full", error.problem, RETRY_AFTER)
        case errors.TooLarge():
            return Problem(413, "too-large", "The message is too large", error.problem)
        case errors.Unencodable():
            return Problem(422, "unencodable", "The queue has no form for this message", error.problem)
        case errors.UnknownQueue():
            return Problem(404, "no-such-queue", "Unknown queue", error.problem)
        case errors.Draining():
            return draining()
        case errors.StorageError():
            return _storage(error)
        case errors.BrokerError():
            # Its text names hosts: it goes to the log, the client gets an id to ask for.
            detail = "The queue cannot be reached now; nothing is known to be stored. The gateway's log says why."
            id = _logged(error, trace=False)
            return Problem(
                503, "broker-unavailable", "The queue is unavailable", detail, _RETRY_AFTER_DRAIN, error_id=id
            )
        case _:
            return _unforeseen(error)


def _storage(error: errors.StorageError) -> Problem:
    # The error's own text names folders of this machine: it goes to the log, the client gets an id to ask for.
    id = _logged(error, trace=False)
    if isinstance(error, errors.StorageFull):
        return Problem(507, "storage-full", "No space left", "The disk is full; nothing was stored.", error_id=id)
    if isinstance(error, errors.StorageBusy):
        detail = "The database is locked by another process; nothing was stored."
        return Problem(503, "storage-busy", "The storage is busy", detail, RETRY_AFTER, error_id=id)
    detail = "The storage cannot be written; nothing was stored. The gateway's log says why."
    return Problem(503, "storage-unavailable", "The storage is unavailable", detail, _RETRY_AFTER_DRAIN, error_id=id)


def _unforeseen(error: Exception) -> Problem:
    id = _logged(error, trace=True)
    phrase = HTTPStatus.INTERNAL_SERVER_ERROR.phrase
    return Problem(500, "internal", phrase, "Something went wrong here; the log has it under this id.", error_id=id)


def _logged(error: Exception, *, trace: bool) -> str:
    id = new_id()
    _log.error("request failed, error_id %s: %s", id, error, exc_info=error if trace else None)
    return id
