"""python -m benchmarks.seed.model_server PORT: the reader behind HTTP, an image a request."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from reader import Noted  # of the folder in which the benchmark runs

MODEL = Noted()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        image = self.rfile.read(int(self.headers["Content-Length"]))
        (output,) = MODEL.predict([MODEL.preprocess(SimpleNamespace(body=image))])
        answer = json.dumps(MODEL.postprocess(output)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        """A line for each request costs time."""


if __name__ == "__main__":
    MODEL.load()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
