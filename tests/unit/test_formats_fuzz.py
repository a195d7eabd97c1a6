"""Project files of every format, damaged at random: whatever stands in them, people read faults and no traceback."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import needs_module

from millrace import cli
from millrace.errors import MillraceError
from millrace.formats.convert import convert
from millrace.formats.load import examine

ARN = "arn:aws:sqs:us-east-1:123456789012:jobs"
SOUND: dict[str, dict[str, Any]] = {
    "serverless.json": {
        "service": "pets",
        "provider": {
            "name": "aws",
            "runtime": "python3.12",
            "stage": "${opt:stage, 'dev'}",
            "environment": {"QUEUE": {"Ref": "Jobs"}, "TABLE": "${self:custom.table}"},
            "apiGateway": {"apiKeys": ["one", {"name": "two", "value": "x" * 20}]},
            "iam": {"role": {"statements": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}},
        },
        "custom": {"table": "pets-${self:provider.stage}", "wsgi": {"app": "app.app"}},
        "plugins": ["serverless-pseudo-parameters"],
        "functions": {
            "work": {
                "handler": "app.work",
                "timeout": 5,
                "reservedConcurrency": 1,
                "destinations": {"onFailure": ARN},
                "events": [
                    {"sqs": {"arn": {"Fn::GetAtt": ["Jobs", "Arn"]}, "batchSize": 5, "filterPatterns": [{"a": [1]}]}},
                    {"http": {"path": "pets/{id}", "method": "get", "private": True, "cors": True}},
                    {"httpApi": "*"},
                    {"schedule": {"rate": ["rate(1 minute)", "cron(0 3 * * ? *)"], "input": {"a": 1}}},
                    {"s3": {"bucket": "lake", "event": "s3:ObjectCreated:*", "rules": [{"prefix": "in/"}]}},
                    {"sns": {"topicName": "news", "filterPolicy": {"kind": ["cat"]}}},
                    {"stream": {"type": "dynamodb", "arn": {"Fn::GetAtt": ["Pets", "StreamArn"]}}},
                    {"eventBridge": {"pattern": {"source": ["pets"]}, "inputPath": "$.detail"}},
                ],
            }
        },
        "resources": {
            "Conditions": {"Always": {"Fn::Equals": ["a", "a"]}},
            "Resources": {
                "Jobs": {
                    "Type": "AWS::SQS::Queue",
                    "Condition": "Always",
                    "Properties": {
                        "QueueName": {"Fn::Sub": "${AWS::StackName}-jobs"},
                        "RedrivePolicy": {"maxReceiveCount": 3, "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                    },
                },
                "Dead": {"Type": "AWS::SQS::Queue"},
                "Pets": {
                    "Type": "AWS::DynamoDB::Table",
                    "Properties": {
                        "TableName": "${self:custom.table}",
                        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                        "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
                    },
                },
            },
        },
    },
    "template.json": {
        "Transform": ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"],
        "Parameters": {"Name": {"Type": "String", "Default": "jobs", "AllowedPattern": "[a-z]+"}},
        "Conditions": {"Named": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]}},
        "Globals": {"Function": {"Runtime": "python3.12", "Timeout": 5}},
        "Resources": {
            "Fn::ForEach::Queues": ["Kind", ["a", "b"], {"${Kind}Queue": {"Type": "AWS::SQS::Queue"}}],
            "Work": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "Handler": "app.work",
                    "CodeUri": ".",
                    "Environment": {"Variables": {"A": {"Fn::If": ["Named", "{{resolve:ssm:/a}}", {"Ref": "Name"}]}}},
                    "Policies": [{"SQSPollerPolicy": {"QueueName": {"Fn::GetAtt": ["aQueue", "QueueName"]}}}],
                    "Events": {
                        "Take": {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["aQueue", "Arn"]}}},
                        "Ask": {"Type": "Api", "Properties": {"Path": "/pets/{id}", "Method": "get"}},
                        "Tick": {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)", "Input": "{}"}},
                        "Drop": {
                            "Type": "S3",
                            "Properties": {"Bucket": {"Ref": "Lake"}, "Events": "s3:ObjectCreated:*"},
                        },
                    },
                },
            },
            "Lake": {"Type": "AWS::S3::Bucket"},
            "Pets": {"Type": "AWS::Serverless::SimpleTable"},
        },
    },
    "zappa_settings.json": {
        "dev": {
            "app_function": "app.app",
            "project_name": "pets",
            "aws_region": "eu-west-1",
            "environment_variables": {"A": "1"},
            "events": [
                {"function": "app.work", "expression": "rate(1 minute)"},
                {"function": "app.work", "event_source": {"arn": ARN, "batch_size": 5, "enabled": True}},
            ],
            "cors": True,
        },
        "prod": {"extends": "dev", "timeout_seconds": 60},
    },
    "millrace.yml": {
        "service": "pets",
        "queues": {"jobs": {"max_receives": 3}},
        "functions": {"work": {"handler": "app.work", "events": [{"queue": "jobs"}, {"http": "POST /pets"}]}},
    },
}
ODD = st.sampled_from(
    (
        *(None, True, 0, -1, 2**70, 1e300, "", " ", "a", "*", "${", "${}", "é\u202e😀", "x" * 3000, ARN, "arn:::::"),
        *("${self:}", "${self:custom}", "${self:custom.a.b, 'c'}", "${file(serverless.json)}", "${opt:x}", "${env:NO}"),
        *("${file(../../x)}", "${file(app.py)}", "${ssm:/a}", "#{AWS::Region}", "${AWS::Region}", "{{resolve:ssm:/b}}"),
        *("a.b", "/.h", "../x.h", "rate(0 minutes)", "cron(a)", "GET /{a}/{a}", "$default"),
        *([], {}, [[]], [None], {"": ""}, {"Ref": "AWS::NoValue"}, {"Ref": None}, {"Ref": "Work"}, {"Ref": ["a"]}),
        *({"Fn::GetAtt": "x"}, {"Fn::GetAtt": []}, {"Fn::Sub": ["${a}", {"a": {"Ref": "Jobs"}}]}, {"Fn::Sub": "${x}"}),
        *({"Fn::Join": [1]}, {"Fn::Select": [9, ["a"]]}, {"Fn::If": ["Always", 1, 2]}, {"Fn::If": [1]}),
        *({"Fn::ForEach::X": ["A", ["b"], {"${A}": 1}]}, {"Fn::Transform": {"Name": "AWS::Include"}}),
    )
)
NAMES = st.sampled_from(
    ("Type", "Properties", "handler", "events", "sqs", "http", "arn", "Ref", "Fn::If", "", "é", "1")
)


def nested(value: Any, depth: int) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"Fn::Sub": value}
    return value


VALUES = ODD | st.builds(nested, ODD, st.sampled_from((1, 2, 100)))


def places(found: Any) -> Iterator[tuple[Any, Any]]:
    """Each container below a value, with each of its keys."""
    below = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, child in below:
        yield found, key
        yield from places(child)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(sorted(SOUND)))
    tree = copy.deepcopy(SOUND[name])
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(tree))
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(("delete", "replace", "replace", "rename", "add", "copy", "wrap", "text"))):
            case "delete":
                del holder[key]
            case "rename" if isinstance(holder, dict):
                holder[draw(NAMES)] = holder.pop(key)
            case "add" if isinstance(holder, dict):
                holder[draw(NAMES)] = copy.deepcopy(draw(VALUES))
            case "copy":
                other, its = draw(st.sampled_from(found))
                if other is holder or any(other is each for each, _ in places(tree)):
                    holder[key] = copy.deepcopy(other.get(its) if isinstance(other, dict) else None)
            case "wrap":
                holder[key] = [holder[key]]
            case "text":
                holder[key] = json.dumps(holder[key])
            case _:
                holder[key] = copy.deepcopy(draw(VALUES))
    data = json.dumps(tree, ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(data)))
        junk = draw(
            st.sampled_from((b"\t", b"&a ", b"*a ", b"!Sub ", b"\0", b"\xff", b"{", b"]", b'"', b"!!x ", b"\n---\n"))
        )
        data = data[:at] + junk + data[at + draw(st.integers(0, 9)) :]
    return name, data


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    needs_module("samtranslator")
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "app.py").write_text("def work(event, context): ...\napp = print\n")
        yield Path(made)


def written(folder: Path, name: str, data: bytes) -> Path:
    for old in SOUND:
        (folder / old).unlink(missing_ok=True)
    file = folder / name
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("name", sorted(SOUND))
def test_what_is_damaged_below_was_sound(name: str, folder: Path) -> None:
    found = examine(written(folder, name, json.dumps(SOUND[name]).encode()))
    assert found.project is not None, [str(fault) for fault in found.faults]


@given(damaged())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_a_damaged_file_is_read_or_refused(folder: Path, file: tuple[str, bytes]) -> None:
    try:
        found = examine(written(folder, *file))
    except MillraceError:
        return
    assert (found.project is None) == bool(found.faults)
    assert all(fault.text and fault.place.source for fault in (*found.faults, *found.warnings))
    if found.project is not None:
        assert convert(found).text


@given(damaged(), st.sampled_from(("check", "convert")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
def test_no_traceback_reaches_a_user(folder: Path, file: tuple[str, bytes], command: str) -> None:
    path = str(written(folder, *file))
    options = ["--no-code"] if command == "check" else ["--output", str(folder / "out.yml"), "--force"]
    assert cli.run([command, "--project", path, *options]) in (0, 2)
