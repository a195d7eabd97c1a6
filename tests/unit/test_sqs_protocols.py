"""The two protocols of SQS: they say the same, in AWS's words, and no input makes a reply that is none."""

from __future__ import annotations

import asyncio
import json
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import msgspec
import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st
from sqs_parts import ACCOUNT, ORIGIN, Open, Sqs, memory, sqlite

from millrace.aws.endpoint.call import Call
from millrace.aws.sqs.actions import SQS_ACTIONS
from millrace.aws.sqs.errors import KINDS
from millrace.aws.sqs.members import members
from millrace.errors import QueueFull, StorageFull, TooLarge

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
MODEL = Loader().load_service_model("sqs", "service-2")


@pytest.fixture
async def sqs(tmp_path: Path) -> AsyncIterator[Sqs]:
    async with memory(tmp_path) as found:
        yield found


def plain(element: ElementTree.Element) -> Any:
    """XML as nested lists of (name, value), without its namespace."""
    name = element.tag.removeprefix(NAMESPACE)
    return name, [plain(child) for child in element] or (element.text or "")


class TestAgainstAwsModel:
    """Our declarations against the model that botocore ships: names, which are required, which there are."""

    def test_every_action(self) -> None:
        assert set(SQS_ACTIONS) == set(MODEL["operations"])

    @pytest.mark.parametrize("action", sorted(SQS_ACTIONS))
    def test_members(self, action: str) -> None:
        shape = MODEL["shapes"][MODEL["operations"][action]["input"]["shape"]]
        self.compare(SQS_ACTIONS[action].request, shape)

    def compare(self, struct: type[msgspec.Struct], shape: dict[str, Any]) -> None:
        ours = {member.name: member for member in members(struct)}
        assert set(ours) == set(shape["members"])
        required = {each.encode_name for each in msgspec.structs.fields(struct) if each.required}
        # An absent list of entries is an empty batch, which has an error of its own.
        assert required | {"Entries"} >= set(shape.get("required", []))
        assert required <= set(shape.get("required", []))
        for name, member in ours.items():
            inner = MODEL["shapes"][shape["members"][name]["shape"]]
            kinds = {"string": "text", "blob": "text", "integer": "number", "list": "list", "map": "map"}
            assert member.kind == kinds[inner["type"]], name
            if member.item is not None:
                item = MODEL["shapes"][inner["member" if inner["type"] == "list" else "value"]["shape"]]
                self.compare(member.item, item)

    def test_errors_are_modelled(self) -> None:
        modelled = {name for name, shape in MODEL["shapes"].items() if shape.get("exception")}
        assert {shape for shape, kind in KINDS.items() if kind.namespace == "com.amazonaws.sqs#"} <= modelled


class TestJson:
    async def test_headers(self, sqs: Sqs) -> None:
        reply = await sqs.raw("ListQueues", b"{}")
        assert (reply.status, reply.headers["content-type"]) == (200, "application/x-amz-json-1.0")
        assert reply.headers["x-amzn-requestid"]

    async def test_an_error(self, sqs: Sqs) -> None:
        reply = await sqs.raw("GetQueueUrl", b'{"QueueName": "x"}')
        assert reply.status == 400
        assert reply.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
        assert json.loads(reply.body) == {
            "__type": "com.amazonaws.sqs#QueueDoesNotExist",
            "message": "The specified queue does not exist.",
        }

    @pytest.mark.parametrize(
        ("action", "body", "code", "message"),
        [
            ("Fly", b"{}", "InvalidAction", "The action Fly is not valid for this endpoint."),
            ("GetQueueUrl", b"", "MissingParameter", "The request must contain the parameter QueueName."),
            ("GetQueueUrl", b"[]", "MalformedInput", "Expected `object`"),
            ("GetQueueUrl", b"{", "MalformedInput", "truncated"),
            ("GetQueueUrl", b'{"QueueName": "\xff"}', "MalformedInput", ""),
            ("GetQueueUrl", b'{"QueueName": "\\ud800"}', "MalformedInput", ""),
            ("GetQueueUrl", b'{"QueueName": 1}', "MalformedInput", "Expected `str`"),
            ("GetQueueUrl", b"[" * 100_000, "MalformedInput", ""),
            (
                "SendMessageBatch",
                b'{"QueueUrl": "x", "Entries": [{"Id": "a", "MessageBody": "b"}, {"Id": "b"}]}',
                "MissingParameter",
                "Entries.2.MessageBody",
            ),
        ],
    )
    async def test_what_cannot_be_read(self, sqs: Sqs, action: str, body: bytes, code: str, message: str) -> None:
        reply = await sqs.raw(action, body)
        assert (reply.status, reply.headers["x-amzn-query-error"]) == (400, f"{code};Sender")
        assert message in json.loads(reply.body)["message"]

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (StorageFull("no space"), 503, "ServiceUnavailable;Receiver"),
            (QueueFull("full"), 400, "RequestThrottled;Sender"),
            (TooLarge("large"), 400, "InvalidParameterValue;Sender"),
        ],
    )
    async def test_what_the_broker_refuses(
        self, sqs: Sqs, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
    ) -> None:
        url = await sqs.queue()

        async def put(puts: object) -> None:
            raise error

        monkeypatch.setattr(sqs.broker, "put", put)
        reply = await sqs.raw("SendMessage", json.dumps({"QueueUrl": url, "MessageBody": "x"}).encode())
        assert (reply.status, reply.headers["x-amzn-query-error"]) == (status, code)


class TestQuery:
    async def test_create_send_receive_delete(self, sqs: Sqs) -> None:
        made = await sqs.query(
            "CreateQueue",
            QueueName="jobs",
            Attribute__1__Name="VisibilityTimeout",
            Attribute__1__Value="40",
            Tag__1__Key="team",
            Tag__1__Value="a=b",
        )
        url = f"{ORIGIN}/{ACCOUNT}/jobs"
        name, (result, metadata) = plain(made)
        assert (name, result) == ("CreateQueueResponse", ("CreateQueueResult", [("QueueUrl", url)]))
        assert metadata[0] == "ResponseMetadata"
        sent = plain(
            await sqs.query(
                "SendMessage",
                path=f"/{ACCOUNT}/jobs",  # the queue is in the path, as the oldest clients have it
                MessageBody='<a> & "b"\r\n',
                MessageAttribute__1__Name="blob",
                MessageAttribute__1__Value__DataType="Binary",
                MessageAttribute__1__Value__BinaryValue=b64encode(b"\x00").decode(),
                MessageAttribute__2__Name="n",
                MessageAttribute__2__Value__DataType="Number",
                MessageAttribute__2__Value__StringValue="1",
            )
        )
        fields = dict(sent[1][0][1])
        assert sorted(fields) == ["MD5OfMessageAttributes", "MD5OfMessageBody", "MessageId"]
        received = plain(
            await sqs.query(
                "ReceiveMessage",
                QueueUrl=url,
                AttributeName="All",
                MessageAttributeName__1="All",
                WaitTimeSeconds="0",
            )
        )
        ((_, message),) = received[1][0][1]
        parts = {}
        for key, value in message:
            parts.setdefault(key, []).append(value)
        assert parts["Body"] == ['<a> & "b"\r\n']
        assert parts["MessageId"] == [fields["MessageId"]]
        assert [("Name", "ApproximateReceiveCount"), ("Value", "1")] in parts["Attribute"]
        assert parts["MessageAttribute"] == [
            [("Name", "blob"), ("Value", [("DataType", "Binary"), ("BinaryValue", "AA==")])],
            [("Name", "n"), ("Value", [("DataType", "Number"), ("StringValue", "1")])],
        ]
        gone = await sqs.query("DeleteMessage", QueueUrl=url, ReceiptHandle=parts["ReceiptHandle"][0])
        assert [child[0] for child in plain(gone)[1]] == ["ResponseMetadata"]
        assert (await sqs.ask("ListQueueTags", QueueUrl=url)) == {"Tags": {"team": "a=b"}}

    async def test_a_batch(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        answer = await sqs.query(
            "SendMessageBatch",
            QueueUrl=url,
            SendMessageBatchRequestEntry__2__Id="b",
            SendMessageBatchRequestEntry__2__MessageBody="y",
            SendMessageBatchRequestEntry__2__DelaySeconds="901",
            SendMessageBatchRequestEntry__1__Id="a",
            SendMessageBatchRequestEntry__1__MessageBody="null",
        )
        _, (result, _) = plain(answer)
        (good, bad) = result[1]
        assert good[0] == "SendMessageBatchResultEntry"
        assert bad[0] == "BatchResultErrorEntry"
        assert dict(good[1])["Id"] == "a"
        assert {key: dict(bad[1])[key] for key in ("Id", "SenderFault", "Code")} == {
            "Id": "b",
            "SenderFault": "true",
            "Code": "InvalidParameterValue",
        }
        assert [each["Body"] for each in await sqs.receive(url)] == ["null"]

    async def test_lists(self, sqs: Sqs) -> None:
        await sqs.queue("a")
        await sqs.queue("b")
        _, (result, _) = plain(await sqs.query("ListQueues"))
        assert result[1] == [("QueueUrl", f"{ORIGIN}/{ACCOUNT}/{name}") for name in "ab"]
        assert plain(await sqs.query("ListDeadLetterSourceQueues", QueueUrl=f"{ORIGIN}/{ACCOUNT}/a"))[1][0][1] == ""
        answer = await sqs.query(
            "GetQueueAttributes", QueueUrl=f"{ORIGIN}/{ACCOUNT}/a", AttributeName__1="DelaySeconds"
        )
        assert plain(answer)[1][0][1] == [("Attribute", [("Name", "DelaySeconds"), ("Value", "0")])]
        granted = await sqs.raw_query(
            "AddPermission",
            QueueUrl=f"{ORIGIN}/{ACCOUNT}/a",
            Label="x",
            AWSAccountId__1="111111111111",
            ActionName__1="*",
        )
        assert granted.status == 200

    async def test_by_get(self, sqs: Sqs) -> None:
        await sqs.queue()
        call = Call("GET", "/", "Action=GetQueueUrl&QueueName=jobs&Version=2012-11-05", {"host": "localhost:8401"})
        reply = await sqs.service.handle(call)
        assert (reply.status, reply.headers["content-type"]) == (200, "text/xml")
        assert f"<QueueUrl>{ORIGIN}/{ACCOUNT}/jobs</QueueUrl>".encode() in reply.body

    async def test_an_error(self, sqs: Sqs) -> None:
        reply = await sqs.raw_query("GetQueueUrl", QueueName="<x>")
        assert reply.status == 400
        name, (error, request_id) = plain(ElementTree.fromstring(reply.body))
        assert (name, request_id[0]) == ("ErrorResponse", "RequestId")
        assert error[1] == [
            ("Type", "Sender"),
            ("Code", "AWS.SimpleQueueService.NonExistentQueue"),
            ("Message", "The specified queue does not exist."),
            ("Detail", ""),
        ]

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "MissingParameter"),
            (b"\xff", "MalformedInput"),
            (b"Action=%ff", "MalformedInput"),
            (b"Action=Fly", "InvalidAction"),
            (b"Action=GetQueueUrl", "MissingParameter"),
            (b"Action=GetQueueUrl&QueueName.1=x", "MalformedInput"),
            (b"Action=CreateQueue&QueueName=x&Attribute=y", "MalformedInput"),
            (b"Action=CreateQueue&QueueName=x&Attribute.one.Name=y", "MalformedInput"),
            (b"Action=CreateQueue&QueueName=x&Attribute.1=y&Attribute.1.Name=z", "MalformedInput"),
            (b"Action=CreateQueue&QueueName=x&Attribute.1.Name=z&Attribute.1=y", "MalformedInput"),
            (b"Action=CreateQueue&QueueName=x&Attribute.1.Name.More=z", "MalformedInput"),
            (b"Action=SendMessageBatch&QueueUrl=/1/x&SendMessageBatchRequestEntry.1=z", "MalformedInput"),
            (b"Action=ReceiveMessage&QueueUrl=/1/x&MaxNumberOfMessages=ten", "InvalidParameterValue"),
            (b"Action=ReceiveMessage&QueueUrl=/1/x&AttributeName.1.x=ten", "MalformedInput"),
            (b"&".join(b"a%d=" % n for n in range(3000)), "MalformedInput"),
            (b"Action=CreateQueue&QueueName=" + b"%41" * 1_400_000, "MalformedInput"),
        ],
    )
    async def test_what_cannot_be_read(self, sqs: Sqs, body: bytes, code: str) -> None:
        reply = await sqs.service.handle(Call("POST", "/", "", {}, body))
        assert reply.status == 400
        assert f"<Code>{code}</Code>".encode() in reply.body

    async def test_characters_that_xml_cannot_say(self, sqs: Sqs) -> None:
        reply = await sqs.raw_query("Fly\x00\x1f\uffff")
        assert "Fly\ufffd\ufffd\ufffd" in (ElementTree.fromstring(reply.body).findtext(f".//{NAMESPACE}Message") or "")


TEXTS = st.one_of(
    st.sampled_from(["jobs", "a.fifo", f"{ORIGIN}/1/jobs", f"{ORIGIN}/1/a.fifo", "All", "String", "1", "true", ""]),
    st.sampled_from([f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs", '{"deadLetterTargetArn": "x", "maxReceiveCount": 1}']),
    st.text(max_size=20),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def of(struct: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Requests that are nearly right: each member of its kind, or anything, or not there; never a wait."""
    fields = {}
    for member in members(struct):
        inner = of(member.item) if member.item else TEXTS
        sound: st.SearchStrategy[Any] = {
            "text": TEXTS,
            "number": st.integers(-2, 12),
            "list": st.lists(inner, max_size=11),
            "map": st.dictionaries(TEXTS, inner, max_size=3),
        }[member.kind]
        fields[member.name] = st.just(0) if member.name == "WaitTimeSeconds" else sound | sound | VALUES
    return st.fixed_dictionaries({}, optional=fields)


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A request as a form, whether or not it makes sense."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in flat(item, f"{prefix}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [pair for number, item in enumerate(value, 1) for pair in flat(item, f"{prefix}.{number}")]
    return [(prefix, str(value))]


def spelled(request: dict[str, Any], struct: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON's members under the query protocol's names."""
    names = {member.name: member for member in members(struct)}
    found: dict[str, Any] = {}
    for name, value in request.items():
        if name not in names:
            found[name] = value
            continue
        member = names[name]
        if member.kind == "map" and isinstance(value, dict):
            value = [{"Name": key, "Value": item} for key, item in value.items()]
        elif member.item and isinstance(value, list):
            value = [spelled(item, member.item) if isinstance(item, dict) else item for item in value]
        found[member.element] = value
    return found


REQUESTS = st.sampled_from(sorted(SQS_ACTIONS)).flatmap(
    lambda action: st.tuples(st.just(action), of(SQS_ACTIONS[action].request))
)


async def answered(opened: Open, calls: list[Call]) -> None:
    """Every call gets a reply that its protocol's clients can read, and none is our fault."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as sqs:
            await sqs.queue()
            await sqs.queue("a.fifo", ContentBasedDeduplication="true")
            await sqs.send(f"{ORIGIN}/1/jobs")
            for call in calls:
                reply = await sqs.service.handle(call)
                assert reply.status in (200, 400, 403, 404), reply.body
                if "x-amz-target" in call.headers:
                    assert isinstance(json.loads(reply.body or b"{}"), dict)
                else:
                    ElementTree.fromstring(reply.body)
            await sqs.service.close()


@pytest.mark.parametrize("opened", [memory, sqlite])
class TestFuzz:
    @given(requests=st.lists(REQUESTS, max_size=6))
    def test_json(self, opened: Open, requests: list[tuple[str, dict[str, Any]]]) -> None:
        calls = [
            Call("POST", "/", "", {"x-amz-target": f"AmazonSQS.{action}"}, json.dumps(request).encode())
            for action, request in requests
        ]
        asyncio.run(answered(opened, calls))

    @given(requests=st.lists(REQUESTS, max_size=6))
    def test_query(self, opened: Open, requests: list[tuple[str, dict[str, Any]]]) -> None:
        calls = []
        for action, request in requests:
            form = [("Action", action), *flat(spelled(request, SQS_ACTIONS[action].request))]
            calls.append(Call("POST", "/", "", {}, urlencode(form, errors="replace").encode()))
        asyncio.run(answered(opened, calls))

    @given(
        target=st.sampled_from(["", "AmazonSQS.SendMessage", "Fly"]),
        path=st.text(max_size=30),
        query=st.text(max_size=30),
        body=st.binary(),
    )
    def test_anything(self, opened: Open, target: str, path: str, query: str, body: bytes) -> None:
        headers = {"x-amz-target": target} if target else {}
        asyncio.run(answered(opened, [Call("POST", f"/{path}", query, headers, body)]))
