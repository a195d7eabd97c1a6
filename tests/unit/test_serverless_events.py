from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.config.load import examine_tree
from millrace.formats.reader import Draft, Request
from millrace.formats.serverless import read

ACCOUNT = "000000000000"
RESOURCES = """
resources:
  Resources:
    Jobs: {Type: 'AWS::SQS::Queue', Properties: {QueueName: jobs, VisibilityTimeout: 60}}
    Dead: {Type: 'AWS::SQS::Queue', Properties: {QueueName: dead}}
    Line: {Type: 'AWS::SQS::Queue', Properties: {QueueName: line.fifo, FifoQueue: true}}
    News: {Type: 'AWS::SNS::Topic', Properties: {TopicName: news}}
    Bus: {Type: 'AWS::Events::EventBus', Properties: {Name: orders}}
    Rows:
      Type: AWS::DynamoDB::Table
      Properties:
        TableName: rows
        KeySchema: [{AttributeName: id, KeyType: HASH}]
        AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
        StreamSpecification: {StreamViewType: NEW_IMAGE}
"""


def drafted(events: str, folder: Path, provider: str = "", function: str = "", version: str = "'3'") -> Draft:
    text = (
        f"service: pets\nframeworkVersion: {version}\nprovider: {{name: aws, runtime: python3.12, {provider}}}\n"
        f"functions:\n  f:\n    handler: app.f\n    {function}\n    events:\n{events}\n{RESOURCES}"
    )
    file = folder / "serverless.yml"
    file.write_text(text)
    return read(Request(file))


def events_of(draft: Draft, folder: Path) -> list[dict[str, Any]]:
    """The function's events; the project that they make is sound."""
    assert draft.tree is not None
    faults = [fault for fault in draft.faults if fault.severity == "error"]
    assert not faults, [str(fault) for fault in faults]
    found = examine_tree(draft.tree, folder, stage=None, overrides=(), faults=[])
    assert found.project is not None, [str(fault) for fault in found.faults]
    events = draft.tree.plain()["functions"]["f"].get("events", [])
    assert isinstance(events, list)
    return events


def warnings_of(draft: Draft) -> list[str]:
    return [str(fault).partition("warning: ")[2] for fault in draft.faults if fault.severity == "warning"]


QUEUE = {
    "queue": "jobs",
    "batch": {"size": 10, "bytes": "6MB"},
    "partial": False,
    "on_error": "batch",
    "retry": "lease",
}
STREAM = {
    "table": "rows",
    "batch": {"size": 100, "bytes": "6MB"},
    "partial": False,
    "on_error": "batch",
    "start": "oldest",
    "view": "new",
}
V1, V2 = {"payload": "v1"}, {"payload": "v2"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("http: GET hello", [{"http": {"method": "GET", "path": "/hello", **V1}}]),
        ("http: post /a/{id}/", [{"http": {"method": "POST", "path": "/a/{id}", **V1}}]),
        ("http: any /{proxy+}", [{"http": {"method": "ANY", "path": "/{proxy+}", **V1}}]),
        ("http: {path: a, method: get}", [{"http": {"method": "GET", "path": "/a", **V1}}]),
        ("http: {path: '', method: get}", [{"http": {"method": "GET", "path": "/", **V1}}]),
        ("http: {path: a, method: get, private: true}", [{"http": {"method": "GET", "path": "/a", **V1, "key": True}}]),
        (
            "http: {path: a, method: get, integration: lambda-proxy, cors: true}",
            [{"http": {"method": "GET", "path": "/a", **V1, "cors": True}}],
        ),
        (
            "http: {path: a, method: get, cors: {origin: 'https://x', headers: 'A,B', allowCredentials: true,"
            " maxAge: 5}}",
            [
                {
                    "http": {
                        "method": "GET",
                        "path": "/a",
                        **V1,
                        "cors": {
                            "origins": ["https://x"],
                            "headers": ["A", "B"],
                            "credentials": True,
                            "max_age": "5s",
                        },
                    }
                }
            ],
        ),
        ("httpApi: GET /x", [{"http": {"method": "GET", "path": "/x", **V2}}]),
        ("httpApi: '* /x'", [{"http": {"method": "ANY", "path": "/x", **V2}}]),
        (
            "httpApi: '*'",
            [{"http": {"method": "ANY", "path": "$default", **V2}}],
        ),
        (
            "httpApi: {path: '*'}",
            [{"http": {"method": "ANY", "path": "$default", **V2}}],
        ),
        (
            "httpApi: {method: put, path: /x/{id}}".replace("{id}", "y"),
            [{"http": {"method": "PUT", "path": "/x/y", **V2}}],
        ),
        ("sqs: {arn: {'Fn::GetAtt': [Jobs, Arn]}}", [QUEUE]),
        ("sqs: {arn: !GetAtt Jobs.Arn}", [QUEUE]),
        ("sqs: !GetAtt Jobs.Arn", [QUEUE]),
        ("sqs: {arn: {Ref: Jobs}}", [QUEUE]),
        ("sqs: {arn: !Sub 'arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:jobs'}", [QUEUE]),
        ("sqs: {arn: {'Fn::Join': [':', ['arn:aws:sqs', {Ref: 'AWS::Region'}, '1', jobs]]}}", [QUEUE]),
        (f"sqs: arn:aws:sqs:us-east-1:{ACCOUNT}:jobs", [QUEUE]),
        ("sqs: jobs", [QUEUE]),
        ("sqs: {arn: !GetAtt Line.Arn}", [{**QUEUE, "queue": "line.fifo"}]),
        (
            "sqs: {arn: !GetAtt Jobs.Arn, batchSize: '5', maximumBatchingWindow: 2, enabled: false,"
            " functionResponseType: ReportBatchItemFailures, maximumConcurrency: 3,"
            " filterPatterns: [{body: {a: [1]}}]}",
            [
                {
                    **QUEUE,
                    "batch": {"size": 5, "bytes": "6MB", "wait": "2s"},
                    "partial": True,
                    "enabled": False,
                    "filter": [{"body": {"a": [1]}}],
                    "concurrency": 3,
                }
            ],
        ),
        ("schedule: rate(5 minutes)", [{"schedule": "rate(5 minutes)"}]),
        (
            "schedule: {rate: [rate(1 hour), 'cron(0 3 * * ? *)'], input: {a: 1}, enabled: false, method: scheduler}",
            [{"schedule": rule, "input": {"a": 1}, "enabled": False} for rule in ("rate(1 hour)", "cron(0 3 * * ? *)")],
        ),
        ("schedule: {rate: rate(1 hour), input: '{\"a\": 1}'}", [{"schedule": "rate(1 hour)", "input": {"a": 1}}]),
        ("s3: uploads", [{"bucket": "uploads", "on": "created"}]),
        ("s3: {bucket: uploads}", [{"bucket": "uploads", "on": "created"}]),
        (
            "s3: {bucket: uploads, event: 's3:ObjectRemoved:*', rules: [{prefix: in/}, {suffix: .jpg}]}",
            [{"bucket": "uploads/in/**.jpg", "on": "removed"}],
        ),
        ("sns: hello", [{"topic": "hello"}]),
        ("sns: {topicName: hello, displayName: Hello}", [{"topic": "hello"}]),
        ("sns: {arn: !Ref News, topicName: news}", [{"topic": "news"}]),
        ("sns: !Ref News", [{"topic": "news"}]),
        (
            "sns: {arn: !Ref News, filterPolicy: {a: [x]}, filterPolicyScope: MessageBody}",
            [{"topic": "news", "filter": {"a": ["x"]}, "scope": "MessageBody"}],
        ),
        ("stream: {type: dynamodb, arn: !GetAtt Rows.StreamArn}", [STREAM]),
        ("stream: {arn: {'Fn::GetAtt': [Rows, StreamArn]}, startingPosition: TRIM_HORIZON}", [STREAM]),
        (f"stream: arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/rows/stream/1970", [STREAM]),
        (
            "stream: {arn: !GetAtt Rows.StreamArn, startingPosition: LATEST, batchSize: 7, batchWindow: 3,"
            " maximumRetryAttempts: 2, maximumRecordAgeInSeconds: 90, bisectBatchOnFunctionError: true,"
            " functionResponseType: ReportBatchItemFailures, parallelizationFactor: 4,"
            " destinations: {onFailure: {arn: !GetAtt Dead.Arn, type: sqs}}}",
            [
                {
                    **STREAM,
                    "batch": {"size": 7, "bytes": "6MB", "wait": "3s"},
                    "partial": True,
                    "on_error": "bisect",
                    "start": "latest",
                    "tries": 2,
                    "max_age": 90,
                    "on_failure": {"queue": "dead"},
                }
            ],
        ),
        ("stream: {arn: !GetAtt Rows.StreamArn, maximumRetryAttempts: -1, maximumRecordAgeInSeconds: -1}", [STREAM]),
        ("eventBridge: {pattern: {source: [a]}}", [{"bus": "default", "pattern": {"source": ["a"]}}]),
        (
            "eventBridge: {eventBus: !GetAtt Bus.Arn, pattern: {source: [a]}, inputPath: $.detail}",
            [{"bus": "orders", "pattern": {"source": ["a"]}, "input_path": "$.detail"}],
        ),
        ("eventBridge: {eventBus: orders, pattern: {source: [a]}}", [{"bus": "orders", "pattern": {"source": ["a"]}}]),
        (
            "eventBridge: {schedule: rate(1 hour), input: {k: v}}",
            [{"schedule": "rate(1 hour)", "input": {"k": "v"}}],
        ),
        ("eventBridge: {pattern: {source: [a]}, enabled: false}", []),
        (
            "schedule: {rate: rate(1 hour), inputPath: $.time}",
            [{"schedule": "rate(1 hour)", "input_path": "$.time"}],
        ),
        (
            "eventBridge: {schedule: rate(1 hour), inputPath: $.time}",
            [{"schedule": "rate(1 hour)", "input_path": "$.time"}],
        ),
        ("cloudwatchEvent: {event: {source: [aws.ec2]}}", [{"bus": "default", "pattern": {"source": ["aws.ec2"]}}]),
    ],
)
def test_an_event(event: str, expected: list[dict[str, Any]], tmp_path: Path) -> None:
    draft = drafted(f"      - {event}", tmp_path)
    assert events_of(draft, tmp_path) == expected
    assert warnings_of(draft) == []
    assert draft.understood == draft.keys


@pytest.mark.parametrize(
    ("event", "warning"),
    [
        (
            "http: {path: a, method: get, integration: lambda}",
            "functions.f: http: the integration 'lambda' does not run",
        ),
        ("http: {path: a, method: get, authorizer: x}", "functions.f: http: authorizer does nothing here"),
        ("http: {path: a, method: get, async: true}", "functions.f: http: async does nothing here"),
        ("httpApi: {path: /a, method: get, authorizer: x}", "functions.f: httpApi: authorizer does nothing here"),
        (
            "sqs: {arn: !GetAtt Jobs.Arn, batchsize: 3}",
            "batchsize is not understood and left aside; did you mean 'batchSize'?",
        ),
        ("sqs: {arn: !GetAtt Jobs.Arn, functionResponseType: X}", "functionResponseType 'X' is unknown"),
        ("sqs: arn:aws:sqs:us-east-1:1:other", "other is not among the resources: an empty one is made under `queues`"),
        ("sqs: {arn: {'Fn::ImportValue': TheirQueue}}", "what another stack exports as TheirQueue is not known here"),
        ("schedule: {rate: rate(1 hour), timezone: Europe/Paris}", "timezone does nothing here: rules are read in UTC"),
        ("s3: {bucket: uploads, event: 's3:ObjectRestore:Post'}", "s3:ObjectRestore:Post never happens here"),
        ("s3: {bucket: uploads, event: 's3:ObjectCreated:Put'}", "s3:ObjectCreated:Put is understood in part"),
        ("s3: {bucket: theirs, existing: true}", "theirs is not among the resources: an empty one is made"),
        ("sns: arn:aws:sns:us-east-1:1:far", "far is not among the resources: an empty one is made under `topics`"),
        ("stream: arn:aws:kinesis:us-east-1:1:stream/x", "streams of Kinesis do not run here"),
        ("stream: {type: kinesis, arn: x}", "streams of Kinesis do not run here"),
        ("stream: {arn: !GetAtt Rows.StreamArn, startingPosition: AT_TIMESTAMP}", "is taken as TRIM_HORIZON"),
        ("eventBridge: {pattern: {a: [1]}, inputTransformer: {}}", "inputTransformer does nothing here"),
        ("cloudwatchLog: /aws/lambda/x", "the event cloudwatchLog does not run here"),
        ("alb: {}", "the event alb does not run here: use an httpApi event"),
        ("websocket: $connect", "the event websocket does not run here"),
        ("iot: {sql: x}", "the event iot does not run here"),
        ("alexaSkill", "the event alexaSkill does not run here: `millrace invoke` calls the function"),
        ("cognitoUserPool: {pool: x}", "the event cognitoUserPool does not run here"),
        ("activemq: {}", "the event activemq does not run here"),
        ("sqss: x", "the event sqss is no event that millrace knows; it is left aside; did you mean 'sqs'?"),
    ],
)
def test_what_does_not_run_here_is_never_silent(event: str, warning: str, tmp_path: Path) -> None:
    draft = drafted(f"      - {event}", tmp_path)
    events_of(draft, tmp_path)
    assert any(warning in each for each in warnings_of(draft)), warnings_of(draft)
    assert all(fault.place.line for fault in draft.faults)


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ("http: hello", "functions.f: http; expected GET hello"),
        ("httpApi: {cors: true}", "functions.f: httpApi; expected '*', GET /hello"),
        ("sqs: {batchSize: 1}", "functions.f: sqs; expected the ARN of a queue"),
        ("sqs: arn:aws:sns:us-east-1:1:x", "functions.f: sqs; expected the ARN of a queue"),
        ("sqs: !GetAtt Gone.Arn", "no resource is called Gone"),
        ("schedule: {input: 1}", "functions.f: schedule; expected rate(5 minutes)"),
        ("s3: {}", "functions.f: s3; expected a bucket's name"),
        ("sns: arn:aws:sqs:us-east-1:1:x", "functions.f: sns; expected the ARN or the name of an SNS topic"),
        ("stream: nowhere", "functions.f: stream; expected the ARN of a table's stream"),
        ("stream: !GetAtt Rows.StreamArm", "has no attribute StreamArm"),
        ("eventBridge: {}", "functions.f: eventBridge; expected a mapping with `pattern:` or `schedule:`"),
        ("cloudwatchEvent: x", "functions.f: cloudwatchEvent; expected a mapping with `event:`"),
        ("[1]", "functions.f.events: an event; expected a mapping"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_place(event: str, fault: str, tmp_path: Path) -> None:
    draft = drafted(f"      - {event}", tmp_path)
    errors = [each for each in draft.faults if each.severity == "error"]
    assert any(fault in each.text for each in errors), [str(each) for each in draft.faults]
    assert all(each.place.line in (8, 9) for each in errors)


def test_events_that_lost_their_dashes(tmp_path: Path) -> None:
    draft = drafted("      sqs:\n        arn:\n          Fn::GetAtt:\n            Jobs\n            Arn", tmp_path)
    assert events_of(draft, tmp_path) == [QUEUE]
    assert warnings_of(draft) == [
        "Fn::GetAtt as one text: taken as a list of two; expected [Jobs, Arn], got 'Jobs Arn'",
        "functions.f.events is a mapping: each key is taken as an event; expected a list: `- sqs: ...`",
    ]


def test_an_event_whose_keys_stand_beside_it(tmp_path: Path) -> None:
    draft = drafted("      - sqs:\n        arn: !GetAtt Jobs.Arn\n        batchSize: 3", tmp_path)
    assert events_of(draft, tmp_path) == [{**QUEUE, "batch": {"size": 3, "bytes": "6MB"}}]
    assert "what stands beside sqs is taken to belong to it" in warnings_of(draft)[0]


def test_a_queue_that_is_taken_to_exist_outlasts_its_function(tmp_path: Path) -> None:
    draft = drafted("      - sqs: arn:aws:sqs:us-east-1:1:other.fifo", tmp_path, function="timeout: 90")
    events_of(draft, tmp_path)
    assert draft.tree is not None
    queue = draft.tree.plain()["queues"]["other.fifo"]
    assert (queue["lease"], queue["fifo"], queue["max_receives"]) == (90, True, "unlimited")


def test_a_timeout_longer_than_the_visibility_timeout_is_refused(tmp_path: Path) -> None:
    draft = drafted("      - sqs: !GetAtt Jobs.Arn", tmp_path, function="timeout: 61")
    assert draft.tree is not None
    found = examine_tree(draft.tree, tmp_path, stage=None, overrides=(), faults=[])
    assert found.project is None
    assert "timeout of 61s is longer than the 1m lease" in found.faults[0].text
    assert found.faults[0].place.line == 7


@pytest.mark.parametrize(
    ("version", "provider", "payload"),
    [
        ("'3'", "", "v2"),
        ("'2'", "", "v1"),
        ("^2.72", "", "v1"),
        ('">=1.2.0 <2.0.0"', "", "v1"),
        ("'>=2'", "", "v2"),
        ("2 || 3", "", "v2"),
        ("'3'", "httpApi: {payload: '1.0'}", "v1"),
        ("'2'", "httpApi: {payload: '2.0'}", "v2"),
    ],
)
def test_the_payload_of_http_apis(version: str, provider: str, payload: str, tmp_path: Path) -> None:
    draft = drafted("      - httpApi: GET /x", tmp_path, provider=provider, version=version)
    assert events_of(draft, tmp_path)[0]["http"]["payload"] == payload


def test_cross_origin_settings_of_http_apis(tmp_path: Path) -> None:
    provider = "httpApi: {cors: {allowedOrigins: ['https://x'], allowedMethods: [GET], maxAge: 9}}"
    draft = drafted("      - httpApi: GET /x", tmp_path, provider=provider)
    assert events_of(draft, tmp_path)[0]["http"]["cors"] == {
        "origins": ["https://x"],
        "methods": ["GET"],
        "max_age": "9s",
    }


def test_a_bucket_by_its_key_under_the_provider(tmp_path: Path) -> None:
    draft = drafted("      - s3: images", tmp_path, provider="s3: {images: {name: pets-images}}")
    assert events_of(draft, tmp_path) == [{"bucket": "pets-images", "on": "created"}]


def test_a_bus_of_another_name_is_made(tmp_path: Path) -> None:
    draft = drafted("      - eventBridge: {eventBus: my-bus, pattern: {source: [a]}}", tmp_path)
    assert events_of(draft, tmp_path)[0]["bus"] == "my-bus"
    assert draft.tree is not None
    resources = draft.tree.plain()["aws"]["resources"]
    assert resources["MybusEventBridge"] == {"Type": "AWS::Events::EventBus", "Properties": {"Name": "my-bus"}}
