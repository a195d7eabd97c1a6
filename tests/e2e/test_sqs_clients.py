"""Programs that people use with SQS, over sockets against `millrace up`: boto3 and aws in both protocols, and kombu."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from needs import needs_module, tool

needs_module("boto3", "kombu")

import boto3  # noqa: E402
import botocore.session  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from query_model import write_query_model  # noqa: E402

from millrace.fixtures.running import RunningProject  # noqa: E402

PROJECT = """
service: clients
gateway: {port: 0}
aws: {port: 0, account: "123456789012", region: eu-west-1}
queues:
  declared: {lease: 2s}
"""
KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "eu-west-1"}
ACCOUNT = "123456789012"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of one running project."""
    source = tmp_path_factory.mktemp("source")
    (source / "millrace.yml").write_text(PROJECT)
    running = RunningProject(source, tmp_path_factory.mktemp("run") / "project")
    try:
        yield running.aws_url
    finally:
        running.stop()


@pytest.fixture(scope="module")
def query_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of SQS whose clients speak the query protocol."""
    return write_query_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(params=["json", "query"])
def sqs(request: pytest.FixtureRequest, url: str, query_model: Path) -> Any:
    """boto3 in each protocol."""
    core = botocore.session.get_session()
    if request.param == "query":
        core.set_config_variable("data_path", str(query_model))
    client = boto3.Session(botocore_session=core).client("sqs", endpoint_url=url, region_name="eu-west-1", **KEYS)
    assert client.meta.service_model.metadata["protocol"] == request.param
    client.prefix = request.param
    return client


class TestBoto3:
    def test_messages_with_everything(self, sqs: Any) -> None:
        url = sqs.create_queue(QueueName=f"{sqs.prefix}-all", Attributes={"VisibilityTimeout": "40"}, tags={"a": "b"})
        queue = url["QueueUrl"]
        attributes = {
            "s": {"DataType": "String", "StringValue": "ü <&> \r\n"},
            "n": {"DataType": "Number", "StringValue": "1.5"},
            "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        }
        trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988"}}
        body = "hällo <&> \r\n\t'\""
        sent = sqs.send_message(
            QueueUrl=queue, MessageBody=body, MessageAttributes=attributes, MessageSystemAttributes=trace
        )
        (message,) = sqs.receive_message(
            QueueUrl=queue, AttributeNames=["All"], MessageAttributeNames=["All"], WaitTimeSeconds=5
        )["Messages"]
        assert (message["Body"], message["MessageAttributes"]) == (body, attributes)
        assert message["MessageId"] == sent["MessageId"]
        assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"
        assert message["Attributes"]["AWSTraceHeader"] == "Root=1-5759e988"
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        (again,) = sqs.receive_message(QueueUrl=queue)["Messages"]
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=again["ReceiptHandle"])
        counted = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        assert (counted["ApproximateNumberOfMessagesNotVisible"], counted["VisibilityTimeout"]) == ("0", "40")
        assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"a": "b"}
        sqs.delete_queue(QueueUrl=queue)

    def test_batches_with_failures(self, sqs: Any) -> None:
        queue = sqs.create_queue(QueueName=f"{sqs.prefix}-batch")["QueueUrl"]
        entries = [{"Id": str(n), "MessageBody": f"m{n}", "DelaySeconds": 901 if n == 3 else 0} for n in range(10)]
        sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
        assert len(sent["Successful"]) == 9
        failed = [(each["Id"], each["SenderFault"], each["Code"]) for each in sent["Failed"]]
        assert failed == [("3", True, "InvalidParameterValue")]
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        handles = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(received)]
        shown = [{**each, "VisibilityTimeout": 30} for each in handles]
        assert len(sqs.change_message_visibility_batch(QueueUrl=queue, Entries=shown)["Successful"]) == 9
        assert len(sqs.delete_message_batch(QueueUrl=queue, Entries=handles)["Successful"]) == 9
        sqs.delete_queue(QueueUrl=queue)

    def test_fifo_and_dead_letters(self, sqs: Any) -> None:
        dead = sqs.create_queue(QueueName=f"{sqs.prefix}-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{sqs.prefix}-dead.fifo"
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "RedrivePolicy": policy}
        queue = sqs.create_queue(QueueName=f"{sqs.prefix}.fifo", Attributes=attributes)["QueueUrl"]
        for body in ("a", "b", "a"):
            sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId="g")
        for _ in range(2):
            sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, MaxNumberOfMessages=10)
        assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue]
        task = sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
        assert task
        while (found := sqs.list_message_move_tasks(SourceArn=arn)["Results"][0])["Status"] == "RUNNING":
            pass
        assert (found["Status"], found["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        assert [each["Body"] for each in received] == ["a", "b"]
        for each in (queue, dead):
            sqs.delete_queue(QueueUrl=each)

    def test_errors_have_the_same_names(self, sqs: Any) -> None:
        with pytest.raises(ClientError) as missing:
            sqs.get_queue_url(QueueName="nobody")
        assert missing.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
        queue = sqs.get_queue_url(QueueName="declared")["QueueUrl"]
        with pytest.raises(ClientError) as refused:
            sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=11)
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
        with pytest.raises(ClientError) as handle:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle="nonsense")
        assert handle.value.response["Error"]["Code"] == "ReceiptHandleIsInvalid"


class TestAws:
    @pytest.mark.parametrize("protocol", ["json", "query"])
    def test_the_command(self, url: str, query_model: Path, protocol: str) -> None:
        command = tool("aws")
        environment = os.environ | ENVIRONMENT | ({"AWS_DATA_PATH": str(query_model)} if protocol == "query" else {})

        def aws(*words: str) -> Any:
            done = subprocess.run(
                [command, "--endpoint-url", url, "--output", "json", "sqs", *words],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout or "null")

        name = f"aws-{protocol}"
        queue = aws("create-queue", "--queue-name", name, "--attributes", "DelaySeconds=0", "--tags", "k=v")["QueueUrl"]
        assert aws("list-queues", "--queue-name-prefix", name)["QueueUrls"] == [queue]
        colour = "colour={DataType=String,StringValue=red}"
        aws("send-message", "--queue-url", queue, "--message-body", "typed", "--message-attributes", colour)
        (message,) = aws("receive-message", "--queue-url", queue, "--message-attribute-names", "All")["Messages"]
        assert message["MessageAttributes"] == {"colour": {"StringValue": "red", "DataType": "String"}}
        aws("delete-message", "--queue-url", queue, "--receipt-handle", message["ReceiptHandle"])
        assert aws("list-queue-tags", "--queue-url", queue)["Tags"] == {"k": "v"}
        aws("purge-queue", "--queue-url", queue)
        aws("delete-queue", "--queue-url", queue)


def test_a_form_without_an_sdk(url: str) -> None:
    """As curl sends it: to the queue's own address, or as a link."""
    queue = f"{url}/{ACCOUNT}/declared"
    form = {"Action": "SendMessage", "MessageBody": "by hand", "Version": "2012-11-05"}
    sent = httpx.post(queue, data=form)
    assert (sent.status_code, "<SendMessageResponse" in sent.text) == (200, True), sent.text
    received = httpx.get(queue, params={"Action": "ReceiveMessage", "AttributeName.1": "All"})
    assert "<Body>by hand</Body>" in received.text
    refused = httpx.get(queue, params={"Action": "Fly"})
    assert (refused.status_code, "<Code>InvalidAction</Code>" in refused.text) == (400, True)


class TestKombu:
    """The transport that Celery's workers use."""

    def connection(self, url: str, **options: Any) -> Any:
        from kombu import Connection

        address = urlsplit(url)
        told = {"region": "eu-west-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0} | options
        return Connection(f"sqs://any:any@{address.hostname}:{address.port}//", transport_options=told)

    def taken(self, connection: Any, queue: Any, count: int) -> list[Any]:
        """That many deliveries, not yet acknowledged, over one channel of the connection."""
        found: list[Any] = []
        with connection.Consumer(queue, callbacks=[lambda body, message: found.append(message)], prefetch_count=count):
            while len(found) < count:
                connection.drain_events(timeout=30)
        return found

    def test_acks_rejects_and_visibility(self, url: str) -> None:
        from kombu import Queue

        queue = Queue("celery", routing_key="celery")
        # longer than four deliveries and their ends take on a busy machine
        with self.connection(url, visibility_timeout=5) as connection:
            producer = connection.Producer()
            for number in range(4):
                producer.publish({"n": number}, routing_key="celery", declare=[queue], serializer="json")
            messages = {message.payload["n"]: message for message in self.taken(connection, queue, 4)}
            messages[0].ack()
            messages[1].reject()  # kombu deletes it
            messages[2].requeue()
        with self.connection(url, visibility_timeout=5) as connection:  # 3 was never settled
            again = self.taken(connection, queue, 2)
            assert sorted(message.payload["n"] for message in again) == [2, 3]
            for message in again:
                message.ack()
            assert connection.default_channel._size("celery") == 0
            connection.default_channel.queue_delete("celery")

    def test_predefined_queues_with_groups_and_backoff(self, url: str) -> None:
        from kombu import Queue

        client = boto3.client("sqs", endpoint_url=url, region_name="eu-west-1", **KEYS)
        made = client.create_queue(
            QueueName="tasks.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        )["QueueUrl"]
        tasks = {
            "url": made,
            "access_key_id": "any",
            "secret_access_key": "any",
            "backoff_policy": {1: 1, 2: 2},
            "backoff_tasks": ["task"],
        }
        with self.connection(url, predefined_queues={"tasks.fifo": tasks}) as connection:
            queue = Queue("tasks.fifo", routing_key="tasks.fifo")
            producer = connection.Producer()
            for number in (0, 1, 1):
                headers = {"task": "task", "id": str(number)}
                producer.publish(
                    {"n": number},
                    headers=headers,
                    routing_key="tasks.fifo",
                    serializer="json",
                    MessageGroupId="g",
                    MessageDeduplicationId=f"d{number}",
                )
            first = self.taken(connection, queue, 1)
            assert first[0].payload == {"n": 0}
            first[0].reject()  # hidden for a second, as its backoff says
            again = self.taken(connection, queue, 1)
            assert again[0].payload == {"n": 0}, "a later message of the group came before the rejected one"
            again[0].ack()
            last = self.taken(connection, queue, 1)
            assert last[0].payload == {"n": 1}
            last[0].ack()
            assert connection.default_channel._size("tasks.fifo") == 0
        client.delete_queue(QueueUrl=made)
