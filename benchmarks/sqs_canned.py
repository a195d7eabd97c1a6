"""The bound of `sqs`: a server that says what SQS would say to the benchmark's client, and does nothing.

    python -m benchmarks.sqs_canned PORT

No server can be faster to boto3 than one whose answers lie ready, so the rate over it is what there is to be had.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from typing import Any, cast

import uvloop

from benchmarks.sqs_client import BATCH, BODY

_MD5 = hashlib.md5(BODY.encode(), usedforsecurity=False).hexdigest()
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"x-amz-target: *AmazonSQS\.(\w+)", re.IGNORECASE)


def answers(port: int) -> dict[bytes, bytes]:
    """The whole HTTP response to each action."""
    ids = [str(place) for place in range(BATCH)]
    said: dict[str, Any] = {
        "CreateQueue": {"QueueUrl": f"http://127.0.0.1:{port}/000000000000/bench"},
        "SendMessageBatch": {"Successful": [{"Id": id, "MessageId": id, "MD5OfMessageBody": _MD5} for id in ids]},
        "ReceiveMessage": {
            "Messages": [{"MessageId": id, "ReceiptHandle": id * 80, "MD5OfBody": _MD5, "Body": BODY} for id in ids]
        },
        "DeleteMessageBatch": {"Successful": [{"Id": id} for id in ids]},
    }
    return {action.encode(): _response(json.dumps(each).encode()) for action, each in said.items()}


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Canned(asyncio.Protocol):
    """One connection: reads whole requests, writes what lies ready."""

    def __init__(self, said: dict[bytes, bytes]) -> None:
        self._said = said
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._read) < whole:
                return
            action = _TARGET.search(head)
            self._transport.write(self._said[action[1]] if action else _response(b"{}"))
            self._read = self._read[whole:]


async def main(port: int) -> None:
    said = answers(port)
    server = await asyncio.get_running_loop().create_server(lambda: Canned(said), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
