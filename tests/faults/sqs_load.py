"""Clients that use SQS all at once and remember what they were told, until the endpoint is gone.

Each worker is one thread with one client. What was asked but not answered may have happened or not; what was answered
must have.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=30)
FIFO = {"FifoQueue": "true", "VisibilityTimeout": "1"}
SETTINGS = {"VisibilityTimeout": "7", "DelaySeconds": "3"}


class Load:
    """What the workers know, over all lives of the endpoint."""

    def __init__(self) -> None:
        self._numbers = count()
        self.sent: dict[str, str] = {}  # body -> message id, in the queue `plain`
        self.deleting: set[str] = set()  # bodies whose deletion was asked
        self.deleted: set[str] = set()  # and answered
        self.queues: dict[str, dict[str, str]] = {}  # made at run time -> tags
        self.receives: dict[str, int] = {}  # body -> how often it was given, in the queue `counted`
        self.poison: set[str] = set()  # bodies that went into the queue `poison`
        self.next: dict[str, int] = {}  # group -> the number to send
        self.done: dict[str, int] = {}  # group -> the last number whose deletion was answered
        self.seen: dict[str, int] = {}  # group -> the highest number that was given

    def prepare(self, sqs: Any) -> None:
        """The queues, made as a client makes them."""
        sqs.create_queue(QueueName="plain", Attributes={"VisibilityTimeout": "1"})
        sqs.create_queue(QueueName="order.fifo", Attributes=FIFO)
        sqs.create_queue(QueueName="counted")
        letters = sqs.create_queue(QueueName="letters")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
        sqs.create_queue(QueueName="poison", Attributes={"RedrivePolicy": policy})
        for number in range(3):
            sqs.send_message(QueueUrl=self.url(sqs, "counted"), MessageBody=f"counted {number}")

    def run(self, keywords: dict[str, Any], kill: Callable[[], None], after: Callable[[int], bool]) -> None:
        """Work with all workers until `kill` was called, which is when `after` so many answers says so."""
        answers = count(1)
        killed = threading.Event()

        def work(step: Callable[[Any], None]) -> None:
            sqs = boto3.client("sqs", config=ONCE, **keywords)
            try:
                while not killed.is_set():
                    step(sqs)
                    if after(next(answers)) and not killed.is_set():
                        killed.set()
                        kill()
            except (HTTPClientError, EndpointConnectionError):  # the endpoint is gone
                assert killed.is_set()

        steps = [
            self.send_one,
            self.send_one,
            self.send_ten,
            self.consume,
            self.make_queue,
            self.count_receives,
            self.poison_and_redrive,
            *(lambda sqs, group=group: self.send_in_order(sqs, group) for group in "xyz"),
            self.consume_in_order,
        ]
        with ThreadPoolExecutor(len(steps)) as threads:
            for worker in [threads.submit(work, step) for step in steps]:
                worker.result()

    def url(self, sqs: Any, name: str) -> str:
        """A queue's URL at this life's address."""
        return f"{sqs.meta.endpoint_url}/000000000000/{name}"

    def body(self) -> str:
        """One that no other message has."""
        return f"body {next(self._numbers)}"

    def send_one(self, sqs: Any) -> None:
        body = self.body()
        self.sent[body] = sqs.send_message(QueueUrl=self.url(sqs, "plain"), MessageBody=body)["MessageId"]

    def send_ten(self, sqs: Any) -> None:
        bodies = {str(number): self.body() for number in range(10)}
        entries = [{"Id": id, "MessageBody": body} for id, body in bodies.items()]
        told = sqs.send_message_batch(QueueUrl=self.url(sqs, "plain"), Entries=entries)["Successful"]
        self.sent.update({bodies[each["Id"]]: each["MessageId"] for each in told})

    def consume(self, sqs: Any) -> None:
        url = self.url(sqs, "plain")
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3).get("Messages", []):
            assert message["Body"] not in self.deleted, f"{message['Body']} came back after its deletion"
            self.deleting.add(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            self.deleted.add(message["Body"])

    def make_queue(self, sqs: Any) -> None:
        name, tags = f"made-{next(self._numbers)}", {"owner": f"team {next(self._numbers)}"}
        url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"}, tags=tags)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "3"})
        sqs.tag_queue(QueueUrl=url, Tags={"more": "yes"})
        self.queues[name] = tags | {"more": "yes"}

    def count_receives(self, sqs: Any) -> None:
        received = sqs.receive_message(
            QueueUrl=self.url(sqs, "counted"),
            VisibilityTimeout=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        (message,) = received["Messages"]
        body, times = message["Body"], int(message["Attributes"]["ApproximateReceiveCount"])
        assert times > self.receives.get(body, 0), f"{body} was received {times} times, and more often before"
        self.receives[body] = times

    def poison_and_redrive(self, sqs: Any) -> None:
        url, body = self.url(sqs, "poison"), self.body()
        sqs.send_message(QueueUrl=url, MessageBody=body)
        self.poison.add(body)
        for _ in range(2):
            sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, MaxNumberOfMessages=10)
        letters = sqs.get_queue_attributes(QueueUrl=self.url(sqs, "letters"), AttributeNames=["QueueArn"])
        tasks = {"SourceArn": letters["Attributes"]["QueueArn"]}
        running = sqs.list_message_move_tasks(**tasks).get("Results", [{"Status": ""}])[0]["Status"] == "RUNNING"
        if not running:
            sqs.start_message_move_task(**tasks)

    def send_in_order(self, sqs: Any, group: str) -> None:
        """A client that was not answered asks again, in the endpoint's next life, by the same deduplication id."""
        number = self.next.get(group, 0)
        sqs.send_message(
            QueueUrl=self.url(sqs, "order.fifo"),
            MessageBody=f"{group} {number}",
            MessageGroupId=group,
            MessageDeduplicationId=f"{group}{number}",
        )
        self.next[group] = number + 1

    def consume_in_order(self, sqs: Any) -> None:
        url = self.url(sqs, "order.fifo")
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            group, _, text = message["Body"].partition(" ")
            self.follows(group, int(text))
            try:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            except ClientError as error:  # a second is short on a busy machine: it comes again, and so does the rest
                if "expired" in str(error):
                    return
                raise
            self.done[group] = int(text)

    def follows(self, group: str, number: int) -> None:
        """In order, without a gap, and nothing again whose deletion was answered."""
        seen, done = self.seen.get(group, -1), self.done.get(group, -1)
        assert done < number <= seen + 1, (
            f"group {group}: {number} came after {seen}, of which {done} was the last done"
        )
        self.seen[group] = max(seen, number)

    def drained(self, sqs: Any, name: str) -> list[str]:
        """The bodies of all that is left in a queue, in order; no message comes twice once it was deleted."""
        url, bodies, ids = self.url(sqs, name), [], []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages"):
            for message in found:
                bodies.append(message["Body"])
                ids.append(message["MessageId"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert len(ids) == len(set(ids)), f"{name} gave a message again after its deletion"
        return bodies
