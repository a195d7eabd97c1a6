"""The examples as they are, with nothing said but another broker."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from fleet_parts import BROKERS, Process, apart
from needs import needs_module
from pattern_parts import EXAMPLES, copy

from tests.services import service

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a broker, which every process of the test is told by MILLRACE_BROKER."""
    url = apart(service(request.param))
    monkeypatch.setenv("MILLRACE_BROKER", url)
    return url


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/digits with its model."""
    needs_module("onnxruntime", "sklearn", "skl2onnx", "PIL")
    folder = tmp_path_factory.mktemp("examples") / "digits"
    shutil.copytree(EXAMPLES / "digits", folder)
    subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, timeout=100, check=True)
    return folder


def embedded_queues(folder: Path) -> list[str]:
    """The queues that were declared in the project's own file."""
    with contextlib.closing(sqlite3.connect(folder / ".millrace" / "millrace.db")) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM queues")]


def test_digits(broker: str, digits: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(digits, tmp_path / "digits")
    images = sorted((folder / "held-out").iterdir())[:20]
    up = Process(folder, ["up", "--port", "0", "--broker", broker], {})
    try:
        up.until("read is ready")
        with up.client() as client:
            for image in images:
                answer = client.post("/digits", files={"file": image.read_bytes()}, headers={"prefer": "wait=30"})
                assert answer.status_code == 200, answer.text
            nothing = client.post("/digits", content=b"no image", headers={"prefer": "wait=30"})
            assert nothing.json()["type"] == "urn:millrace:problem:function-failed"
        assert up.stop() == 0
        words = [sys.executable, "-m", "millrace", "table", "export", "predictions"]
        rows = json.loads(subprocess.run(words, cwd=folder, capture_output=True, check=True, timeout=60).stdout)
        assert len(rows) == len(images)
        assert embedded_queues(folder) == []
    finally:
        up.close()


def test_a_serverless_project(broker: str, tmp_path: Path) -> None:
    needs_module("moto")
    folder = copy("queue-to-queue", "serverless.yml", tmp_path / "project")
    up = Process(folder, ["up", "--port", "0", "--set", "aws.port=0", "--broker", broker], {})
    try:
        aws_url = up.until(r"AWS endpoint on (http://\S+)")[1]
        up.until("is ready")
        sqs = boto3.client("sqs", "us-east-1", endpoint_url=aws_url, aws_access_key_id="a", aws_secret_access_key="b")
        urls = {name: sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("ReadSQS", "WriteSQS")}
        sent = [f"Hello world{number}" for number in range(10)]
        for body in sent:
            sqs.send_message(QueueUrl=urls["ReadSQS"], MessageBody=body)
        assert sorted(received(sqs, urls["WriteSQS"], len(sent))) == sent
        assert up.stop() == 0
        assert embedded_queues(folder) == []
    finally:
        up.close()


def received(sqs: Any, url: str, count: int) -> list[str]:
    """The bodies of messages that are taken and deleted, each once."""
    bodies: list[str] = []
    end = time.monotonic() + 60
    while len(bodies) < count:
        assert time.monotonic() < end, bodies
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            bodies.append(message["Body"])
    return bodies
