"""What the tests of examples/serverless share: a project in one of its forms, running, and clients that call it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx
from botocore.config import Config

from millrace.fixtures.running import RunningProject

T = TypeVar("T")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROJECT_FILES = ("serverless.yml", "template.yaml", "zappa_settings.json")
WITHIN_S = 60.0
_BETWEEN_LOOKS_S = 0.05


class Site:
    """A running project as its users see it from outside: Lambda's, SQS's and other clients, and the gateway."""

    def __init__(self, running: RunningProject, broker: str | None = None) -> None:
        self.running = running
        self._broker = broker
        self.http = httpx.Client(base_url=running.url, timeout=WITHIN_S, trust_env=False)

    def client(self, service: str) -> Any:
        """A client of boto3 that would open nothing elsewhere."""
        assert self.running.project.aws
        return boto3.client(service, **self._keywords())

    def table(self, name: str) -> Any:
        """A table of DynamoDB, with plain values in its items."""
        return boto3.resource("dynamodb", **self._keywords()).Table(name)

    @cached_property
    def sqs(self) -> Any:
        return self.client("sqs")

    def queue_url(self, name: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def send(self, queue: str, *bodies: str) -> None:
        """Put messages into a queue in one request."""
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        answer = self.sqs.send_message_batch(QueueUrl=self.queue_url(queue), Entries=entries)
        assert "Failed" not in answer, answer

    def receive(self, queue: str, count: int) -> list[dict[str, Any]]:
        """Take that many messages from a queue, and not one more that comes with them."""
        url, taken = self.queue_url(queue), []
        deadline = time.monotonic() + WITHIN_S
        while len(taken) < count and time.monotonic() < deadline:
            answer = self.sqs.receive_message(
                QueueUrl=url, WaitTimeSeconds=20, MaxNumberOfMessages=10, AttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message)
        assert len(taken) == count, f"{queue} gave {len(taken)} of {count}\n{self.running.output}"
        return taken

    def until(self, look: Callable[[], T | None]) -> T:
        """What `look` finds, once it finds something that is true."""
        deadline = time.monotonic() + WITHIN_S
        while not (found := look()):
            assert time.monotonic() < deadline, self.running.output
            time.sleep(_BETWEEN_LOOKS_S)  # DynamoDB and an API have nothing to wait on
        return found

    def ask(self, *words: str) -> str:
        """What a command of millrace prints that is given beside it."""
        elsewhere = ["--broker", self._broker] if self._broker else []
        command = [sys.executable, "-m", "millrace", *words, "--project", str(self.running.folder), *elsewhere]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        self.http.close()
        self.running.stop()

    def _keywords(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.running.aws_url,
            "region_name": self.running.project.aws.region,
            "aws_access_key_id": "any",
            "aws_secret_access_key": "any",
            "config": Config(s3={"addressing_style": "path"}, read_timeout=WITHIN_S, retries={"max_attempts": 1}),
        }


def start(name: str, form: str, folder: Path) -> Site:
    """A project of examples/serverless with one project file alone; `X -> millrace.yml` is what convert makes of X."""
    source, _, converted = form.partition(" -> ")
    copied = copy(name, source, folder / "source")
    if converted:
        convert(copied)
        (copied / source).unlink()
    return start_folder(copied, folder / "run")


def start_folder(source: Path, folder: Path, broker: str | None = None) -> Site:
    """A copy of a project, running in a folder that is made for it, on the embedded queue or on a broker elsewhere."""
    return Site(RunningProject(source, folder, broker=broker), broker)


def copy(name: str, source: str, folder: Path) -> Path:
    """A project of examples/serverless in a folder of its own, of its project files `source` alone."""
    left_out = [file for file in PROJECT_FILES if file != source]
    return shutil.copytree(EXAMPLES / "serverless" / name, folder, ignore=shutil.ignore_patterns(*left_out))


def convert(folder: Path) -> None:
    """Write millrace.yml beside the folder's project file."""
    command = [sys.executable, "-m", "millrace", "convert", "--project", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr


def bodies(messages: list[dict[str, Any]]) -> list[Any]:
    """The JSON in messages, in an order of their own."""
    return sorted((json.loads(message["Body"]) for message in messages), key=str)
