"""uvicorn's HTTP/1.1 protocol over httptools, with a bound on the headers, which httptools itself does not have."""

from __future__ import annotations

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from millrace.sources.http import problems

MAX_HEADER_BYTES = 65_536


class Protocol(HttpToolsProtocol):
    """Counts bytes until a request's headers are complete, and refuses in problem+json."""

    _head_bytes = 0
    _in_body = False

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)
        super().data_received(data)
        # Counted behind the parser: what just arrived may have completed the headers and hold a body as well.
        if not self._in_body and self._head_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse(problems.headers_too_large(MAX_HEADER_BYTES))

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(problems.not_http())

    def _refuse(self, problem: problems.Problem) -> None:
        reply = problem.reply()
        head = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode(),
            b"content-type: " + problems.CONTENT_TYPE,
            b"content-length: %d" % len(reply.body),
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + reply.body)
        self.transport.close()
