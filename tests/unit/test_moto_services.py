"""moto mounted: where it is changed, what is made in it at the start, and what it is not asked."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from needs import needs_module

needs_module("moto", "boto3", "flask")

from botocore.exceptions import ClientError  # noqa: E402
from moto_parts import ACCOUNT, REGION, House, ask  # noqa: E402

from millrace.aws.endpoint.call import Call  # noqa: E402
from millrace.aws.moto import MOTO_SERVICES, Services  # noqa: E402
from millrace.aws.moto.hooks import HOOKS  # noqa: E402
from millrace.config.schema import Project  # noqa: E402
from millrace.errors import StorageBusy  # noqa: E402

PROJECT = {
    "service": "shop",
    "aws": {
        "account": ACCOUNT,
        "region": REGION,
        "resources": {
            "Limit": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/limit", "Type": "String", "Value": "7"}},
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": "shop",
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
                },
            },
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "mine"}},
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/shop"}},
            "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "key", "SecretString": "s"}},
            "Lake": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": "lake",
                    "VersioningConfiguration": {"Status": "Enabled"},
                    "NotificationConfiguration": {
                        "QueueConfigurations": [
                            {
                                "Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:work",
                                "Event": "s3:ObjectCreated:*",
                                "Filter": {"S3Key": {"Rules": [{"Name": "Suffix", "Value": ".png"}]}},
                            }
                        ]
                    },
                },
            },
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "work"}},
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "Name": "told",
                    "EventPattern": {"source": ["shop"]},
                    "State": "ENABLED",
                    "Targets": [
                        {"Id": "q", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:work"},
                        {"Id": "f", "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:clerk"},
                    ],
                },
            },
            "Odd": {"Type": "AWS::Nothing::AtAll", "Properties": {}},
            "Broken": {"Type": "AWS::KMS::Key", "Properties": {"KeyUsage": 7, "Tags": 3}},
        },
    },
    "queues": {"work": {}},
    "buckets": {"lake": {"url": "./lake"}},
    "tables": {"t": {"key": "id"}},
    "functions": {"clerk": {"handler": "a.b", "asynchronous": {}}},
}
# What the hooks name or count on, by position.
SIGNATURES = {
    "Table.put_item": ["self", "item_attrs"],
    "Table.delete_item": ["self", "hash_key", "range_key"],
    "DynamoDBBackend.update_item": ["self", "table_name", "key"],
    "DynamoDBBackend.delete_table": ["self", "name"],
    "S3Backend.put_object": ["self", "bucket_name", "key_name", "value", "storage", "etag"],
    "S3Backend.delete_object": ["self", "bucket_name", "key_name"],
    "S3Backend.put_object_tagging": ["self", "key", "tags"],
    "SQSBackend.send_message": ["self", "queue_name", "message_body"],
    "Subscription.publish": [
        "self",
        "message",
        "message_id",
        "subject",
        "message_attributes",
        "group_id",
        "deduplication_id",
        "message_structure",
    ],
    "Rule.send_to_targets": ["self", "original_event", "transform_input"],
    "LambdaFunction.invoke": ["self", "body", "request_headers", "response_headers"],
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(Project.model_validate(PROJECT), tmp_path).start()
    yield found
    await found.stop()


@pytest.mark.parametrize(("module", "owner", "name"), HOOKS)
def test_moto_is_as_the_hooks_want_it(module: str, owner: str, name: str) -> None:
    found = inspect.unwrap(getattr(getattr(import_module(module), owner), name))
    wanted = SIGNATURES[f"{owner}.{name}"]
    assert list(inspect.signature(found).parameters)[: len(wanted)] == wanted


def test_moto_keeps_bytes_and_filters_where_we_look() -> None:
    from moto.s3.models import FakeKey
    from moto.sns.models import Subscription

    key = FakeKey("k", b"x", account_id=ACCOUNT, region_name=REGION)
    assert {"_value_buffer", "contentsize", "multipart", "last_modified"} <= vars(key).keys()
    key.dispose()
    source = inspect.getsource(Subscription)
    assert "_filter_policy" in source


async def test_resources_exist_before_the_first_answer(house: House) -> None:
    value = await ask(house.client("ssm").get_parameter, Name="/limit")
    assert value["Parameter"]["Value"] == "7"
    assert (await ask(house.client("iam").get_role, RoleName="shop"))["Role"]["RoleName"] == "shop"
    buses = await ask(house.client("events").list_event_buses)
    assert {"default", "mine"} <= {bus["Name"] for bus in buses["EventBuses"]}
    secret = await ask(house.client("secretsmanager").get_secret_value, SecretId="key")
    assert secret["SecretString"] == "s"
    assert (await ask(house.client("s3").get_bucket_versioning, Bucket="lake"))["Status"] == "Enabled"
    listed = await ask(house.client("lambda").list_functions)
    assert [function["FunctionName"] for function in listed["Functions"]] == ["clerk"]
    assert (await ask(house.client("sts").get_caller_identity))["Account"] == ACCOUNT
    (odd,) = [warning for warning in house.services.warnings if "Odd" in warning]
    assert odd == "aws.resources.Odd: AWS::Nothing::AtAll is not made here"
    assert len(house.services.warnings) <= 2


async def test_a_rule_of_a_template_reaches_its_queue_but_not_the_function_twice(house: House) -> None:
    entry = {"Source": "shop", "DetailType": "t", "Detail": "{}"}
    await ask(house.client("events").put_events, Entries=[entry])
    assert len(await house.messages("work")) == 1
    assert await house.messages("clerk.async") == []  # the format's reader made that a `bus:` event


async def test_a_templates_bucket_tells_its_queue_once_of_each_object(house: House) -> None:
    s3 = house.client("s3")
    await ask(s3.put_object, Bucket="lake", Key="a.png", Body=b"x")
    await ask(s3.put_object, Bucket="lake", Key="a.txt", Body=b"x")
    upload = (await ask(s3.create_multipart_upload, Bucket="lake", Key="b.png"))["UploadId"]
    named = {"Bucket": "lake", "Key": "b.png", "UploadId": upload}
    tag = (await ask(s3.upload_part, **named, PartNumber=1, Body=b"x"))["ETag"]
    await ask(s3.complete_multipart_upload, **named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    told = [json.loads(message.body)["Records"][0] for message in await house.messages("work")]
    assert [(each["s3"]["object"]["key"], each["eventName"]) for each in told] == [
        ("a.png", "ObjectCreated:Put"),
        ("b.png", "ObjectCreated:CompleteMultipartUpload"),
    ]


@pytest.mark.parametrize("path", ["/moto-api/reset", "/%6Doto-api/reset", "/latest/meta-data/x", "/l%61test/api/token"])
async def test_motos_own_control_is_not_reached(house: House, path: str) -> None:
    reply = await house.services.handle(Call("POST", path))
    assert reply.status == 404
    assert b"is not answered" in reply.body


async def test_motos_docker_is_not_used(house: House) -> None:
    await house.services.load()
    responses = import_module("moto.batch.responses").BatchResponse()
    responses.current_account, responses.region = ACCOUNT, REGION
    assert "simple" in type(responses.batch_backend).__module__


async def test_sqs_and_what_moto_does_not_know_are_refused_in_aws_words(house: House) -> None:
    with pytest.raises(ClientError, match="not answered"):
        await ask(house.client("sqs").list_queues)
    with pytest.raises(ClientError) as refused:
        await ask(house.client("iam").simulate_custom_policy, PolicyInputList=["{}"], ActionNames=["a:b"])
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


async def test_no_web_page_may_read_the_answers(house: House) -> None:
    reply = await house.services.handle(Call("GET", "/", headers={"origin": "http://evil.example"}, account=ACCOUNT))
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_without_the_extra_the_answer_says_what_to_install(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Services, "installed", staticmethod(lambda: False))
    with pytest.raises(ClientError, match=r"pip install 'millrace\[aws\]'"):
        await ask(house.client("s3").list_buckets)


async def test_first_calls_at_once_load_once_and_a_failed_load_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    create = house.services._resources.create

    def once() -> list[str]:
        calls.append(1)
        if len(calls) == 1:
            raise StorageBusy("somebody has the file")
        return create()

    monkeypatch.setattr(house.services._resources, "create", once)
    with pytest.raises(ClientError, match="somebody has the file"):
        await ask(house.client("s3").list_buckets)
    s3, iam = house.client("s3"), house.client("iam")
    await asyncio.gather(ask(s3.list_buckets), ask(iam.list_roles), ask(s3.list_buckets))
    assert len(calls) == 2


async def test_a_thread_of_motos_own_waits_until_its_changes_are_durable(house: House) -> None:
    await house.services.load()
    from moto.s3.models import s3_backends

    def write() -> None:
        s3_backends[ACCOUNT]["aws"].put_object("lake", "by-thread", b"x")
        seen.append((house.root / "lake/by-thread").read_bytes())

    seen: list[bytes] = []
    thread = threading.Thread(target=write)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert seen == [b"x"]


async def test_a_log_subscription_calls_the_function(house: House) -> None:
    logs = house.client("logs")
    await ask(
        logs.put_subscription_filter,
        logGroupName="/shop",
        filterName="f",
        filterPattern="",
        destinationArn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:clerk",
    )
    await ask(logs.create_log_stream, logGroupName="/shop", logStreamName="s")
    await ask(
        logs.put_log_events, logGroupName="/shop", logStreamName="s", logEvents=[{"timestamp": 1, "message": "hi"}]
    )
    (call,) = await house.messages("clerk.async")
    assert "awslogs" in json.loads(call.body)


async def test_what_nobody_signed_is_for_the_service_that_it_names(house: House) -> None:
    await house.services.load()
    json_type = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.ListTables"}
    tables = await house.services.handle(
        Call("POST", "/", headers=json_type, body=b"{}", region=REGION, account=ACCOUNT)
    )
    assert "TableNames" in json.loads(tables.body)
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = b"Action=ListTopics&Version=2010-03-31"
    topics = await house.services.handle(Call("POST", "/", headers=form, body=body, region=REGION, account=ACCOUNT))
    assert b"<ListTopicsResponse" in topics.body
    buckets = await house.services.handle(Call("GET", "/", region=REGION, account=ACCOUNT))
    assert b"<ListAllMyBucketsResult" in buckets.body


def test_every_service_is_said_once() -> None:
    names: list[Any] = [reach.service for reach in MOTO_SERVICES]
    assert len(names) == len(set(names))
    assert "sqs" not in names


async def test_a_caller_who_goes_away_leaves_nothing_half_done(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.services.load()
    bucket, reached, go_on = house.buckets["lake"], asyncio.Event(), asyncio.Event()
    put = bucket.put

    async def slow(key: str, body: bytes) -> None:
        reached.set()
        await go_on.wait()
        await put(key, body)

    monkeypatch.setattr(bucket, "put", slow)
    call = Call("PUT", "/lake/a", headers={"content-length": "1"}, body=b"x", region=REGION, account=ACCOUNT)
    caller = asyncio.create_task(house.services.handle(call))
    await reached.wait()
    caller.cancel()
    go_on.set()
    await asyncio.gather(caller, return_exceptions=True)
    found = await ask(house.client("s3").get_object, Bucket="lake", Key="a")
    assert found["Body"].read() == b"x"
    assert (house.root / "lake/a").read_bytes() == b"x"


NONSENSE = [
    Call("POST", "/", headers={"x-amz-target": "DynamoDB_20120810.PutItem"}, body=b'{"TableName": "t", "Item": []}'),
    Call(
        "POST",
        "/",
        headers={"x-amz-target": "DynamoDB_20120810.PutItem"},
        body=b'{"TableName": "t", "Item": {"id": 7}}',
    ),
    Call("POST", "/", headers={"x-amz-target": "DynamoDB_20120810.UpdateItem"}, body=b'{"TableName": "t", "Key": "x"}'),
    Call("POST", "/", headers={"x-amz-target": "DynamoDB_20120810.Nothing"}, body=b"{}"),
    Call("POST", "/", headers={"x-amz-target": "DynamoDB_20120810.PutItem"}, body=b"\xff"),
    Call("POST", "/", headers={"x-amz-target": "nothing"}, body=b""),
    Call("PUT", "/lake/%ff%00/%2e%2e", headers={"content-length": "x"}, body=b"x"),
    Call("GET", "/lake", "prefix=%ff&list-type=2"),
    Call("GET", "/lake", "prefix=../&list-type=2"),
    Call("GET", "/lake/a", headers={"range": "bytes=9-1"}),
    Call("PUT", "/lake/b", headers={"x-amz-copy-source": "%"}),
    Call("POST", "/lake", "delete", body=b"<Delete>"),
    Call(
        "POST",
        "/",
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=b"Action=Publish&Version=2010-03-31",
    ),
    Call("BREW", "/"),
]


@pytest.mark.parametrize("number", range(len(NONSENSE)))
async def test_nonsense_is_answered(house: House, number: int) -> None:
    reply = await house.services.handle(NONSENSE[number])
    assert 200 <= reply.status < 600
    assert b"Traceback" not in reply.body
