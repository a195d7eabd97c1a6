"""A project with `aws:` up in this process, and SDKs that find it: a handler's own, a test's, and the aws command."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from needs import tool

from millrace.app import open_backend, up
from millrace.config.load import load
from millrace.errors import InUse, MillraceError

KEY, SECRET = "AKIDEXAMPLE", "a-secret-of-some-length"
PROJECT = """
service: pets
gateway: {port: 0}
aws: {port: 0, account: "123456789012", region: eu-west-1}
queues:
  images: {}
  shouted: {}
functions:
  hello:
    handler: app.hello
    name: pets-dev-hello
    memory: 512MiB
  enqueue:
    handler: app.enqueue
  shout:
    handler: app.shout
    events:
      - queue: images
  own:
    handler: app.environment
    environment: {AWS_ENDPOINT_URL: http://127.0.0.1:9}
"""
APP = """
import json
import os

import boto3

def queue(name):
    return boto3.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]

def hello(event, context):
    print("greeting", event.get("name"))
    if event.get("fail"):
        raise ValueError("no such pet")
    told = context.client_context and context.client_context.custom
    return {"hello": event.get("name"), "id": context.aws_request_id, "arn": context.invoked_function_arn, "told": told}

def enqueue(event, context):
    return boto3.client("sqs").send_message(QueueUrl=queue("images"), MessageBody=event["text"])["MessageId"]

def shout(event, context):
    for record in event["Records"]:
        boto3.client("sqs").send_message(QueueUrl=queue("shouted"), MessageBody=record["body"].upper())

def environment(event, context):
    return dict(os.environ)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@asynccontextmanager
async def running(folder: Path, *overrides: str) -> AsyncIterator[str]:
    """The whole project; it must end well. Gives the endpoint's URL."""
    stop, url, lines = asyncio.Event(), asyncio.get_running_loop().create_future(), []

    def announce(text: str) -> None:
        lines.append(text)
        if text.startswith("AWS endpoint on "):
            url.set_result(text.split()[3])

    task = asyncio.create_task(up(load(folder, overrides=overrides), announce=announce, stop=stop))
    await asyncio.wait({task, url}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield url.result()
    finally:
        stop.set()
        code = await task
    assert code == 0


def client(service: str, url: str, *, key: str = KEY, secret: str = SECRET, region: str = "eu-west-1") -> Any:
    config = Config(
        retries={"max_attempts": 1},
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": "path"},
    )
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=config,
    )


async def test_handlers_and_tests_speak_to_one_queue(folder: Path) -> None:
    def drive(url: str) -> None:
        lambda_, sqs = client("lambda", url), client("sqs", url)
        sent = lambda_.invoke(FunctionName="enqueue", Payload=json.dumps({"text": "hello"}))
        assert len(json.load(sent["Payload"])) == 36
        shouted = sqs.get_queue_url(QueueName="shouted")["QueueUrl"]
        assert shouted == f"{url}/123456789012/shouted"
        (message,) = sqs.receive_message(QueueUrl=shouted, WaitTimeSeconds=20)["Messages"]
        assert message["Body"] == "HELLO"
        sqs.delete_message(QueueUrl=shouted, ReceiptHandle=message["ReceiptHandle"])

    async with running(folder) as url:
        await asyncio.to_thread(drive, url)


async def test_invoke_in_all_three_ways(folder: Path) -> None:
    def drive(url: str) -> None:
        lambda_ = client("lambda", url)
        context = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
        answer = lambda_.invoke(
            FunctionName="pets-dev-hello", Payload=b'{"name": "rex"}', LogType="Tail", ClientContext=context
        )
        request_id = answer["ResponseMetadata"]["RequestId"]
        arn = "arn:aws:lambda:eu-west-1:123456789012:function:pets-dev-hello"
        told = json.load(answer["Payload"])
        assert told == {"hello": "rex", "id": request_id, "arn": arn, "told": {"k": "v"}}
        assert (answer["StatusCode"], answer["ExecutedVersion"], "FunctionError" in answer) == (200, "$LATEST", False)
        start, line, end, report = base64.b64decode(answer["LogResult"]).decode().splitlines()
        assert start == f"START RequestId: {request_id} Version: $LATEST"
        assert (line, end) == ("greeting rex", f"END RequestId: {request_id}")
        assert report.startswith(f"REPORT RequestId: {request_id}\tDuration: ")
        assert "\tMemory Size: 512 MB\t" in report

        failed = lambda_.invoke(FunctionName=arn, Payload=b'{"fail": 1}', LogType="Tail")
        assert failed["FunctionError"] == "Unhandled"
        document = json.load(failed["Payload"])
        assert (document["errorType"], document["errorMessage"]) == ("ValueError", "no such pet")
        assert document["requestId"] == failed["ResponseMetadata"]["RequestId"]
        assert "[ERROR] ValueError: no such pet" in base64.b64decode(failed["LogResult"]).decode()

        event = lambda_.invoke(FunctionName="enqueue", InvocationType="Event", Payload=b'{"text": "later"}')
        assert (event["StatusCode"], event["Payload"].read()) == (202, b"")
        sqs = client("sqs", url)
        shouted = sqs.get_queue_url(QueueName="shouted")["QueueUrl"]
        (message,) = sqs.receive_message(QueueUrl=shouted, WaitTimeSeconds=20)["Messages"]
        assert message["Body"] == "LATER"
        assert lambda_.invoke(FunctionName="enqueue", InvocationType="DryRun")["StatusCode"] == 204
        with pytest.raises(lambda_.exceptions.ResourceNotFoundException):
            lambda_.invoke(FunctionName="nobody")
        names = [function["FunctionName"] for function in lambda_.list_functions()["Functions"]]
        assert names == ["enqueue", "own", "pets-dev-hello", "shout"]

    async with running(folder) as url:
        await asyncio.to_thread(drive, url)


async def test_a_function_with_an_endpoint_of_its_own_keeps_it(folder: Path) -> None:
    def drive(url: str) -> None:
        found = json.load(client("lambda", url).invoke(FunctionName="own")["Payload"])
        assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
        assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-west-1"
        assert found["AWS_LAMBDA_FUNCTION_NAME"] == "own"

    async with running(folder) as url:
        await asyncio.to_thread(drive, url)


async def test_elsewhere_signatures_count(folder: Path) -> None:
    def drive(url: str) -> None:
        assert client("sqs", url).get_queue_url(QueueName="images")["QueueUrl"].endswith("/123456789012/images")
        arn = "arn:aws:lambda:eu-west-1:123456789012:function:pets-dev-hello:$LATEST"
        assert client("lambda", url).get_function(FunctionName=arn)["Configuration"]["Handler"] == "app.hello"
        answer = client("lambda", url).invoke(FunctionName="enqueue", Payload=b'{"text": "signed"}')
        assert len(json.load(answer["Payload"])) == 36, "the handler's own SDK must have a key"
        s3 = client("s3", url)
        s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        key = "a b/ü+&=(1)'~*.txt"
        s3.put_object(Bucket="lake", Key=key, Body=b"hello", Metadata={"a": "b"})
        assert s3.get_object(Bucket="lake", Key=key)["Body"].read() == b"hello"
        assert s3.head_object(Bucket="lake", Key=key)["ContentLength"] == 5
        listed = s3.list_objects_v2(Bucket="lake", Prefix="a b/", Delimiter="/")
        assert [item["Key"] for item in listed["Contents"]] == [key]
        presigned = s3.generate_presigned_url("get_object", Params={"Bucket": "lake", "Key": key}, ExpiresIn=60)
        assert httpx.get(presigned).content == b"hello"
        assert httpx.get(presigned.replace("lake", "pond")).status_code == 403
        upload = s3.generate_presigned_url("put_object", Params={"Bucket": "lake", "Key": "up"}, ExpiresIn=60)
        assert httpx.put(upload, content=b"up").status_code == 200
        assert s3.get_object(Bucket="lake", Key="up")["Body"].read() == b"up"
        for wrong, code in ({"key": "OTHER"}, "InvalidClientTokenId"), ({"secret": "wrong"}, "SignatureDoesNotMatch"):
            with pytest.raises(ClientError, match=code):
                client("sqs", url, **wrong).list_queues()
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            client("s3", url, secret="wrong").list_buckets()
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            client("dynamodb", url, key="OTHER").list_tables()
        assert httpx.post(url, headers={"x-amz-target": "AmazonSQS.ListQueues"}, content=b"{}").status_code == 403
        assert httpx.get(f"{url}/_millrace/health").json()["account"] == "123456789012"

    async with running(folder, "aws.host=0.0.0.0", f"aws.keys.{KEY}={SECRET}") as url:
        await asyncio.to_thread(drive, url)


async def test_commands_see_the_queues_that_were_made_through_the_api(folder: Path) -> None:
    def drive(url: str) -> None:
        sqs = client("sqs", url)
        made = sqs.create_queue(QueueName="made")["QueueUrl"]
        sqs.send_message(QueueUrl=made, MessageBody="first")
        millrace = (sys.executable, "-m", "millrace")
        rows = json.loads(quiet(folder, *millrace, "queues", "--json"))
        assert [row["depth"] for row in rows if row["queue"] == "made"] == [1]
        assert json.loads(quiet(folder, *millrace, "peek", "made", "--json"))[0]["body"] == "first"
        quiet(folder, *millrace, "send", "made", "second")
        bodies = {sqs.receive_message(QueueUrl=made)["Messages"][0]["Body"] for _ in range(2)}
        assert bodies == {"first", "second"}
        unknown = subprocess.run([*millrace, "peek", "maed"], cwd=folder, capture_output=True, text=True, check=False)
        assert unknown.returncode != 0
        assert "did you mean made?" in unknown.stderr

    async with running(folder) as url:
        await asyncio.to_thread(drive, url)


async def test_a_drain_leaves_the_endpoint_to_what_still_runs(folder: Path) -> None:
    slow = """
def slow(event, context):
    import time
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=queue("shouted"), MessageBody="began")
    while not os.path.exists("draining"):
        time.sleep(0.05)
    time.sleep(0.5)
    sqs.send_message(QueueUrl=queue("shouted"), MessageBody="ended")
"""
    (folder / "app.py").write_text(APP + slow)
    (folder / "millrace.yml").write_text(PROJECT.replace("  own:", "  slow: {handler: app.slow}\n  own:"))

    def drive(url: str) -> None:
        client("lambda", url).invoke(FunctionName="slow", InvocationType="Event")
        sqs = client("sqs", url)
        shouted = sqs.get_queue_url(QueueName="shouted")["QueueUrl"]
        assert sqs.receive_message(QueueUrl=shouted, WaitTimeSeconds=20)["Messages"][0]["Body"] == "began"

    async with running(folder) as url:
        await asyncio.to_thread(drive, url)
        (folder / "draining").touch()
    backend = await open_backend(load(folder))
    try:
        assert [peeked.message.body for peeked in await backend.broker.peek("shouted")] == [b"began", b"ended"]
    finally:
        await backend.close()


@pytest.mark.parametrize(
    ("setting", "why"), [("aws.keys={}", "without keys"), (f"aws.keys.{KEY}=short", "shorter than 16 characters")]
)
async def test_elsewhere_without_a_key_worth_the_name_is_refused(folder: Path, setting: str, why: str) -> None:
    with pytest.raises(MillraceError, match=why):
        async with running(folder, "aws.host=0.0.0.0", setting):
            pass


async def test_a_port_that_is_taken_says_which_option(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "app.py").write_text(APP)
    (other / "millrace.yml").write_text(PROJECT)
    async with running(folder) as url:
        port = url.rpartition(":")[2]
        with pytest.raises(InUse, match=r"another port with aws\.port"):
            async with running(other, f"aws.port={port}"):
                pass


def quiet(folder: Path, *command: str, **environment: str) -> str:
    result = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


class TestInvoke:
    def test_alone_it_brings_an_endpoint_that_keeps_what_is_sent(self, folder: Path) -> None:
        millrace = (sys.executable, "-m", "millrace")
        sent = json.loads(quiet(folder, *millrace, "invoke", "enqueue", "-d", '{"text": "kept"}'))
        assert len(sent) == 36
        (message,) = json.loads(quiet(folder, *millrace, "peek", "images", "--json"))
        assert message["body"] == "kept"

    async def test_beside_up_it_uses_the_endpoint_of_up(self, folder: Path) -> None:
        millrace = (sys.executable, "-m", "millrace")
        (folder / "app.py").write_text(
            APP + "\ndef where(event, context):\n    return os.environ['AWS_ENDPOINT_URL']\n"
        )
        project = PROJECT.replace("  own:", "  where:\n    handler: app.where\n  own:")
        (folder / "millrace.yml").write_text(project)
        async with running(folder) as url:
            assert json.loads(await asyncio.to_thread(quiet, folder, *millrace, "invoke", "where")) == url
        assert json.loads(await asyncio.to_thread(quiet, folder, *millrace, "invoke", "where")) != url


async def test_the_aws_command(folder: Path) -> None:
    command = tool("aws")
    (folder / "in.json").write_text('{"name": "rex"}')

    def drive(url: str) -> None:
        def aws(*words: str) -> str:
            keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "eu-west-1"}
            # Version 1 does not look at AWS_ENDPOINT_URL for SQS.
            return quiet(folder, command, "--endpoint-url", url, *words, **keys)

        queue = json.loads(aws("sqs", "get-queue-url", "--queue-name", "shouted"))["QueueUrl"]
        aws("sqs", "send-message", "--queue-url", queue, "--message-body", "typed")
        (message,) = json.loads(aws("sqs", "receive-message", "--queue-url", queue))["Messages"]
        assert message["Body"] == "typed"
        aws("lambda", "invoke", "--function-name", "hello", "--payload", "fileb://in.json", "out.json")
        assert json.loads((folder / "out.json").read_text())["hello"] == "rex"

    async with running(folder) as url:
        await asyncio.to_thread(drive, url)
