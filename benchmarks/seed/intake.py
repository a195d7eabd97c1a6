"""python -m benchmarks.seed.intake BROKER QUEUE PORT [threaded]: the Flask application; AIMessage_pb2 is at hand."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading

import pika
from flask import Flask, request

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def application(broker: str, queue: str, *, threaded: bool) -> Flask:
    """POST /dg publishes; threads take turns on the connection, which bears one at a time."""
    from AIMessage_pb2 import AIMessage

    parameters = pika.URLParameters(broker)
    parameters.heartbeat = 0  # nothing reads from the connection between requests
    channel = pika.BlockingConnection(parameters).channel()
    turn = threading.Lock() if threaded else contextlib.nullcontext()
    app = Flask(__name__)

    @app.post("/dg")
    def dg() -> str:
        message = AIMessage(url=request.full_path, imgbuffer=request.stream.read())
        with turn:
            channel.basic_publish("", queue, message.SerializeToString(), PERSISTENT)
        return "ok!"

    return app


if __name__ == "__main__":
    threaded = sys.argv[4:] == ["threaded"]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request costs time
    application(sys.argv[1], sys.argv[2], threaded=threaded).run("127.0.0.1", int(sys.argv[3]), threaded=threaded)
