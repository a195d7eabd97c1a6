"""python -m benchmarks.seed.consumer BROKER QUEUE MODEL_PORT: post each image to the model server, acknowledge it."""

from __future__ import annotations

import http.client
import sys
from typing import Any

import pika


def main(broker: str, queue: str, model_port: int) -> None:
    from AIMessage_pb2 import AIMessage

    def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        message = AIMessage.FromString(body)
        model = http.client.HTTPConnection("127.0.0.1", model_port, timeout=30)
        model.request("POST", message.url, message.imgbuffer)
        answer = model.getresponse()
        answer.read()
        model.close()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"the model server answered {answer.status}")
        channel.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.URLParameters(broker)).channel()
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, handle)
    channel.start_consuming()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
