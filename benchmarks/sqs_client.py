"""One client of an SQS server in a process of its own: boto3, batches of ten, sent, received and deleted.

    python -m benchmarks.sqs_client URL QUEUE_URL SECONDS

It warms up, prints `ready`, begins when a line comes, and prints how many messages it deleted in its seconds. Several
of them load a server; one spends most of its time in boto3.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import boto3
from botocore.config import Config

BATCH = 10
BODY = "x" * 200
WARM_ROUNDS = 20


def connect(url: str) -> Any:
    """An SQS client as boto3 makes it by default, less its retries: what fails here must show."""
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60),
    )


def turn(client: Any, queue_url: str) -> int:
    """Send ten, receive up to ten, delete those: how many were deleted. Raises RuntimeError for any that failed."""
    sent = [{"Id": str(place), "MessageBody": BODY} for place in range(BATCH)]
    _check(client.send_message_batch(QueueUrl=queue_url, Entries=sent))
    got = client.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=BATCH).get("Messages", [])
    if not got:
        return 0
    handles = [{"Id": str(place), "ReceiptHandle": each["ReceiptHandle"]} for place, each in enumerate(got)]
    _check(client.delete_message_batch(QueueUrl=queue_url, Entries=handles))
    return len(got)


def _check(answer: Any) -> None:
    if failed := answer.get("Failed"):
        raise RuntimeError(f"an entry of a batch failed: {failed[0]}")


def main(url: str, queue_url: str, seconds: float) -> None:
    client = connect(url)
    for _ in range(WARM_ROUNDS):
        turn(client, queue_url)
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
        count += turn(client, queue_url)
    print(count, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
