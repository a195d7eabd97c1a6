"""AccessDenied before the deploy: what events, environment and code need against what statements allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.config.reading import read_text
from millrace.config.tree import Node
from millrace.formats.iam import refusals
from millrace.formats.iam.calls import calls
from millrace.formats.iam.policy import Policy, Statement, allows, statements
from millrace.formats.load import examine

QUEUE = "arn:aws:sqs:us-east-1:000000000000:WriteSQS"


def tree(text: str) -> Node:
    found = read_text(text, "serverless.yml", [])
    assert found is not None
    return found


def allow(*actions: str, on: str = "*") -> Statement:
    return Statement("Allow", actions, (on,))


@pytest.mark.parametrize(
    ("known", "action", "resource", "expected"),
    [
        ([], "sqs:SendMessage", QUEUE, False),
        ([allow("sqs:SendMessage", on=QUEUE)], "sqs:SendMessage", QUEUE, True),
        ([allow("sqs:sendmessage", on=QUEUE)], "sqs:SendMessage", QUEUE, True),
        ([allow("sqs:Send*", on="arn:aws:sqs:*:*:Write???")], "sqs:SendMessage", QUEUE, True),
        ([allow("sqs:SendMessage", on=f"{QUEUE}2")], "sqs:SendMessage", QUEUE, False),
        ([allow("*")], "sqs:SendMessage", QUEUE, True),
        ([allow("*"), Statement("Deny", ("sqs:*",), ("*",))], "sqs:SendMessage", QUEUE, False),
        ([Statement("Allow", except_actions=("iam:*",))], "sqs:SendMessage", QUEUE, True),
        ([Statement("Allow", ("sqs:*",), except_resources=(QUEUE,))], "sqs:SendMessage", QUEUE, False),
        ([allow("sqs:SendMessage", on=QUEUE)], "sqs:SendMessage", "*", True),
        ([allow("sqs:SendMessage", on=QUEUE)], "sqs:ReceiveMessage", "*", False),
        ([allow("s3:GetObject", on="arn:aws:s3:::b/*")], "s3:GetObject", "arn:aws:s3:::b/*", True),
        ([allow("d:G", on="arn:x:table/T/stream/2026")], "d:G", "arn:x:table/T/stream/*", True),
        ([allow("d:G", on="arn:x:table/U/stream/2026")], "d:G", "arn:x:table/T/stream/*", False),
    ],
)
def test_policy(known: list[Statement], action: str, resource: str, expected: bool) -> None:
    assert allows(known, action, resource) is expected


def test_statements_of_lists_and_documents() -> None:
    found = list(
        statements(
            tree(
                "- {Effect: Allow, Action: 'a:B', Resource: [x, y]}\n"
                "- Statement: {Effect: Deny, NotAction: ['c:*']}\n- text"
            )
        )
    )
    assert found == [Statement("Allow", ("a:B",), ("x", "y")), Statement("Deny", (), ("*",), ("c:*",))]


CODE = """
import boto3
from lib.store import save
QUEUE = "WriteSQS"
SQS = boto3.client("sqs")
table = boto3.resource("dynamodb").Table("fang")

def handler(event, context):
    url = SQS.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    SQS.send_message(QueueUrl=url, MessageBody="x")
    table.scan()
    boto3.client(service_name="comprehend").detect_sentiment(Text="", LanguageCode="en")
    with table.batch_writer() as batch:
        batch.put_item(Item={})
    SQS.get_paginator("list_queues")
    save(url)
"""
LIB = """
import boto3
def save(x):
    s3 = boto3.resource("s3")
    s3.Object("lake", "x.csv").put(Body=x)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "index.py").write_text(CODE)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "store.py").write_text(LIB)
    return tmp_path


def test_calls_are_read_from_the_code_and_its_own_modules(project: Path) -> None:
    found = [(call.action, call.resource, call.line) for call in calls(project / "index.py", "handler", project)]
    assert found == [
        ("sqs:GetQueueUrl", "WriteSQS", 9),
        ("sqs:SendMessage", "", 10),
        ("dynamodb:Scan", "fang", 11),
        ("comprehend:DetectSentiment", "", 12),
        ("dynamodb:BatchWriteItem", "fang", 13),
        ("dynamodb:PutItem", "fang", 14),
        ("s3:PutObject", "lake", 5),
    ]


SEVERAL = """
import boto3
from lib import store as kept
from lib.store import save as put
sqs = boto3.client("sqs")
sqs.list_queues()

def first(event, context):
    return Sender().send()

def second(event, context):
    sqs.purge_queue(QueueUrl="")

@log.everything
def third(event, context):
    put("x")

@app.get("/routes")
def route():
    sqs.delete_queue(QueueUrl="")

class Sender:
    def send(self):
        return TABLE["send"]()

def tell():
    sqs.send_message(QueueUrl="", MessageBody="")

TABLE = {"send": tell}
if 1:
    def fourth():
        sqs.tag_queue(QueueUrl="")
"""


@pytest.mark.parametrize(("handler", "own"), [("first", set()), ("second", {"sqs:PurgeQueue"}), ("absent", set())])
def test_what_only_other_handlers_of_a_module_do_is_not_counted(project: Path, handler: str, own: set[str]) -> None:
    (project / "index.py").write_text(SEVERAL)
    found = {call.action for call in calls(project / "index.py", handler, project)}
    always = {"sqs:ListQueues", "sqs:DeleteQueue", "sqs:SendMessage", "sqs:TagQueue", "s3:PutObject"}
    assert found == always | own


def test_a_definition_that_nobody_names_is_not_counted(project: Path) -> None:
    (project / "index.py").write_text("import lib.store\n\ndef handler(event, context): ...\n")
    assert calls(project / "index.py", "handler", project) == []
    (project / "index.py").write_text("import lib.store\n\ndef handler(event, context):\n    lib.store.save(1)\n")
    assert [call.action for call in calls(project / "index.py", "handler", project)] == ["s3:PutObject"]


@pytest.mark.parametrize("text", ["def (", "\0", "x = " + "(" * 5000])
def test_what_is_no_python_calls_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.py").write_text(text)
    assert calls(tmp_path / "index.py", "handler", tmp_path) == []
    assert calls(tmp_path / "absent.py", "handler", tmp_path) == []


PROJECT = """
service: deep
aws: {region: eu-west-1, account: "123456789012"}
queues: {ReadSQS: {}, WriteSQS: {}}
tables: {fang: {key: id}}
buckets: {lake: {url: x}}
functions:
  main:
    handler: index.handler
    environment: {TARGET: 'https://sqs.eu-west-1.amazonaws.com/123456789012/WriteSQS', PLAIN: hello}
    events: [{queue: ReadSQS}, {table: fang}]
"""


def test_every_missing_action_is_named_with_its_place(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    policy = Policy(
        (allow("dynamodb:*"), allow("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueUrl")), polls=False
    )
    told = [str(fault) for fault in refusals(tree(PROJECT), {"main": policy}, project)]
    write = "arn:aws:sqs:eu-west-1:123456789012:WriteSQS"
    assert told == [
        "serverless.yml:11:22: warning: functions.main would be refused with AccessDenied: its events come from the "
        "queue ReadSQS; expected a statement that allows sqs:GetQueueAttributes on "
        "arn:aws:sqs:eu-west-1:123456789012:ReadSQS",
        "serverless.yml:10:19: warning: functions.main would be refused with AccessDenied: its variable TARGET names "
        f"WriteSQS; expected a statement that allows sqs:SendMessage on {write}",
        "index.py:10:1: warning: functions.main would be refused with AccessDenied: its code calls sqs:SendMessage; "
        "expected a statement that allows sqs:SendMessage",
        "index.py:12:1: warning: functions.main would be refused with AccessDenied: its code calls "
        "comprehend:DetectSentiment; expected a statement that allows comprehend:DetectSentiment",
        "lib/store.py:5:1: warning: functions.main would be refused with AccessDenied: its code calls s3:PutObject; "
        "expected a statement that allows s3:PutObject on arn:aws:s3:::lake/*",
    ]


def test_a_policy_that_allows_all_is_not_spoken_of(project: Path) -> None:
    assert (
        list(refusals(tree(PROJECT), {"main": Policy((allow("*"),), polls=False), "gone": Policy(())}, project)) == []
    )
    polled = Policy((allow("comprehend:*", "dynamodb:*", "s3:*", "sqs:SendMessage", "sqs:GetQueueUrl"),))
    assert list(refusals(tree(PROJECT), {"main": polled}, project)) == []


SERVERLESS = """
service: queues
provider:
  name: aws
  runtime: python3.12
  iamRoleStatements:
    - {Effect: Allow, Action: "sqs:GetQueueUrl", Resource: !GetAtt WriteSQS.Arn}
functions:
  main:
    handler: index.handler
    events: [{sqs: {arn: !GetAtt ReadSQS.Arn}}]
resources:
  Resources:
    WriteSQS: {Type: AWS::SQS::Queue, Properties: {QueueName: WriteSQS}}
    ReadSQS: {Type: AWS::SQS::Queue, Properties: {QueueName: ReadSQS}}
"""
HANDLER = """
import boto3

def handler(event, context):
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="WriteSQS")["QueueUrl"]
    for message in event["Records"]:
        sqs.send_message(QueueUrl=url, MessageBody=message["body"])
"""


def test_the_send_that_a_serverless_yml_forgot_to_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "serverless.yml"
    (tmp_path / "index.py").write_text(HANDLER)
    file.write_text(SERVERLESS)
    assert [str(each) for each in examine(file).warnings] == [
        "index.py:8:1: warning: functions.main would be refused with AccessDenied: its code calls sqs:SendMessage; "
        "expected a statement that allows sqs:SendMessage"
    ]
    file.write_text(SERVERLESS.replace('"sqs:GetQueueUrl"', '["sqs:GetQueueUrl", "sqs:SendMessage"]'))
    assert examine(file).warnings == []
