"""What each type of CloudFormation's resources becomes in millrace.yml's words."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.config.faults import Fault, Place
from millrace.config.load import examine_tree
from millrace.config.tree import Node
from millrace.formats.cloudformation.contribute import RESOURCE_KEYS, contribute
from millrace.formats.cloudformation.grants import grants
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.surroundings import Surroundings
from millrace.formats.documents import read_document
from millrace.formats.nodes import mapping, node, put
from millrace.formats.reader import Draft

F = "F: {Type: AWS::Lambda::Function, Properties: {Handler: app.main, Runtime: python3.12, Code: src}}"


def woven(resources: str) -> tuple[dict[str, Any], list[str]]:
    faults: list[Fault] = []
    text = "Resources:\n" + "\n".join(f"  {line}" for line in dedent(resources).strip().split("\n"))
    root = read_document(text.encode(), "t.yaml", faults)
    assert root is not None
    assert not faults
    draft = Draft(mapping(root.place), faults)
    assert draft.tree is not None
    put(draft.tree, ["service"], "shop", root)
    contribute(Stack(root, Surroundings(stack="shop"), faults), draft.tree, draft)
    assert draft.understood <= draft.keys
    found = examine_tree(draft.tree, Path(), stage=None, overrides=(), faults=[])
    return draft.tree.plain(), [*map(str, faults), *map(str, found.faults)]


def sound(resources: str) -> dict[str, Any]:
    tree, said = woven(resources)
    assert not said
    return tree


def test_a_queue_with_all_its_attributes() -> None:
    tree = sound(
        """
        Lost: {Type: AWS::SQS::Queue, Properties: {QueueName: lost.fifo, FifoQueue: true}}
        Jobs:
          Type: AWS::SQS::Queue
          Properties:
            QueueName: jobs.fifo
            FifoQueue: "true"
            ContentBasedDeduplication: true
            VisibilityTimeout: "120"
            DelaySeconds: 3
            MessageRetentionPeriod: 600
            MaximumMessageSize: 1024
            ReceiveMessageWaitTimeSeconds: 20
            RedrivePolicy: {deadLetterTargetArn: !GetAtt Lost.Arn, maxReceiveCount: "4"}
            RedriveAllowPolicy: {redrivePermission: allowAll}
        """
    )
    assert tree["queues"]["jobs.fifo"] == {
        "lease": 120,
        "max_receives": 4,
        "ttl": 600,
        "dedupe": "5m",
        "delay": 3,
        "fifo": True,
        "dead": "lost.fifo",
        "attributes": {
            "MaximumMessageSize": "1024",
            "ReceiveMessageWaitTimeSeconds": "20",
            "ContentBasedDeduplication": "true",
            "RedriveAllowPolicy": '{"redrivePermission":"allowAll"}',
        },
    }


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        (
            "{FifoQueue: true, QueueName: jobs}",
            "the name of a FIFO queue ends in .fifo; expected 'jobs.fifo', got 'jobs'",
        ),
        ("{RedrivePolicy: {maxReceiveCount: 3}}", "Q: RedrivePolicy; expected deadLetterTargetArn and maxReceiveCount"),
        ("{RedrivePolicy: 'x'}", "Q: RedrivePolicy; expected deadLetterTargetArn and maxReceiveCount"),
        (
            "{RedrivePolicy: {deadLetterTargetArn: x, maxReceiveCount: 3}}",
            "deadLetterTargetArn; expected a queue's ARN",
        ),
        (
            "{RedrivePolicy: {deadLetterTargetArn: 'arn:aws:sqs:us-east-1:000000000000:far', maxReceiveCount: 3}}",
            "warning: far is not among the resources: an empty one is made under `queues`",
        ),
        (
            "{VisibilityTimout: 3}",
            "VisibilityTimout is not understood and left aside; did you mean 'VisibilityTimeout'?",
        ),
        ("{VisibilityTimeout: long}", "queues.shop-Q.lease; expected a duration"),
    ],
)
def test_what_is_wrong_with_a_queue(properties: str, said: str) -> None:
    _, found = woven(f"Q: {{Type: AWS::SQS::Queue, Properties: {properties}}}")
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(("kind", "key"), [("SQS::Queue", "QueueName"), ("S3::Bucket", "BucketName")])
def test_one_name_twice(kind: str, key: str) -> None:
    _, (said, *_) = woven("\n".join(f"{each}: {{Type: AWS::{kind}, Properties: {{{key}: same}}}}" for each in "AB"))
    assert "are called 'same'; expected each name once" in said


def test_a_table() -> None:
    schema = "KeySchema: [{AttributeName: id, KeyType: HASH}, {AttributeName: at, KeyType: RANGE}]"
    tree = sound(f"Pets: {{Type: AWS::DynamoDB::Table, Properties: {{{schema}}}}}")
    assert tree["tables"] == {"shop-Pets": {"key": "id", "sort": "at"}}
    made = tree["aws"]["resources"]["Pets"]
    assert (made["Type"], made["Properties"]["TableName"]) == ("AWS::DynamoDB::Table", "shop-Pets")
    assert "Pets has no key" in woven("Pets: {Type: AWS::DynamoDB::Table}")[1][0]


def test_a_function() -> None:
    tree = sound(
        """
        Common:
          Type: AWS::Lambda::LayerVersion
          Properties: {Content: layers/common}
          Metadata: {BuildMethod: python3.12}
        F:
          Type: AWS::Lambda::Function
          Properties:
            FunctionName: worker
            Handler: pkg/app.main
            Runtime: python3.12
            Code: ./src/worker/
            Description: Works.
            Timeout: "20"
            MemorySize: 512
            ReservedConcurrentExecutions: 1
            Layers: [!Ref Common]
            Environment: {Variables: {N: 1, YES: true, NAME: !Ref AWS::Region}}
        """
    )
    assert tree["functions"]["F"] == {
        "handler": "pkg/app.main",
        "name": "worker",
        "root": "src/worker",
        "timeout": 20,
        "memory": "512MiB",
        "description": "Works.",
        "replicas": 1,
        "environment": {"N": 1, "YES": True, "NAME": "us-east-1", "PYTHONPATH": "../../layers/common"},
        "asynchronous": {},
    }


@pytest.mark.parametrize(("reserved", "replicas"), [(0, 0), (1, 1), (3, 3), ("'2'", 2), (500, 8)])
def test_reserved_concurrency_is_a_process_each_as_far_as_there_are_cores(
    reserved: object, replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    tree, told = woven(F.replace("Code: src", f"Code: src, ReservedConcurrentExecutions: {reserved}"))
    assert (tree["functions"]["F"]["replicas"], told) == (replicas, [])


@pytest.mark.parametrize(
    ("own", "level"), [("", "DEBUG"), (", Environment: {Variables: {AWS_LAMBDA_LOG_LEVEL: ERROR}}", "ERROR")]
)
def test_the_level_of_a_function_s_log(own: str, level: str) -> None:
    config = "LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: DEBUG}"
    tree, told = woven(F.replace("Code: src", f"Code: src, {config}{own}"))
    assert (tree["functions"]["F"]["environment"], told) == ({"AWS_LAMBDA_LOG_LEVEL": level}, [])


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ("{Runtime: nodejs20.x, Handler: a.b}", "warning: F runs on nodejs20.x, not on Python: left out"),
        ("{Runtime: python3.12}", "F has no Handler; expected module.function"),
        ("{PackageType: Image, Code: {ImageUri: x}}", "warning: F is an image: left out"),
        ("{Runtime: python3.12, Handler: a.b, Code: {ZipFile: 'x'}}", "warning: the code of F stands in the template"),
        ("{Runtime: python3.12, Handler: a.b, Code: {S3Bucket: x}}", "warning: the code of F lies at AWS"),
        ("{Runtime: python3.12, Handler: a.b, Code: f.zip}", "warning: the code of F is an archive"),
        ("{Runtime: python3.12, Handler: a.b, Code: ../x}", "functions.F.root; expected a folder below the project's"),
        ("{Runtime: python3.12, Handler: a.b, Layers: ['arn:aws:lambda:r:1:layer:x:1']}", "a layer that lies at AWS"),
        ("{Runtime: python3.12, Handler: ab}", "functions.F.handler; expected module.name"),
        ("{Runtime: python3.12, Handler: a.b, Timeout: x}", "functions.F.timeout; expected a duration"),
        ("{Runtime: python3.12, Handler: a.b, Environment: {Variables: {A: [1]}}}", "Variables.A; expected a text"),
    ],
)
def test_what_is_wrong_with_a_function(properties: str, said: str) -> None:
    _, found = woven(f"F: {{Type: AWS::Lambda::Function, Properties: {properties}}}")
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith("t.yaml:2:")


def test_an_image_with_its_folder() -> None:
    tree = sound(
        """
        F:
          Type: AWS::Lambda::Function
          Metadata: {DockerContext: ./image}
          Properties: {PackageType: Image, Code: {ImageUri: x}, ImageConfig: {Command: [app.main]}}
        """
    )
    assert (tree["functions"]["F"]["handler"], tree["functions"]["F"]["root"]) == ("app.main", "image")


def events(resources: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sound(F + "\n" + dedent(resources).strip())["functions"]["F"]["events"]
    return found


def test_event_source_mappings() -> None:
    queue, stream = events(
        """
        Q: {Type: AWS::SQS::Queue}
        T:
          Type: AWS::DynamoDB::Table
          Properties:
            KeySchema: [{AttributeName: id, KeyType: HASH}]
            StreamSpecification: {StreamViewType: KEYS_ONLY}
        A:
          Type: AWS::Lambda::EventSourceMapping
          Properties: {EventSourceArn: !GetAtt Q.Arn, FunctionName: !Ref F, Enabled: false}
        B:
          Type: AWS::Lambda::EventSourceMapping
          Properties:
            EventSourceArn: !GetAtt T.StreamArn
            FunctionName: !GetAtt F.Arn
            StartingPosition: LATEST
            BisectBatchOnFunctionError: true
            MaximumRetryAttempts: 3
            MaximumRecordAgeInSeconds: -1
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria: {Filters: [{Pattern: '{"eventName": ["INSERT"]}'}]}
            DestinationConfig: {OnFailure: {Destination: !GetAtt Q.Arn}}
        """
    )
    assert queue == {
        "queue": "shop-Q",
        "batch": {"size": 10, "bytes": "6MB"},
        "partial": False,
        "enabled": False,
        "on_error": "batch",
        "retry": "lease",
    }
    assert stream == {
        "table": "shop-T",
        "batch": {"size": 100, "bytes": "6MB"},
        "partial": True,
        "filter": [{"eventName": ["INSERT"]}],
        "on_error": "bisect",
        "start": "latest",
        "tries": 3,
        "on_failure": {"queue": "shop-Q"},
        "view": "keys",
    }


def test_notifications_of_a_bucket() -> None:
    resources = """
        Q: {Type: AWS::SQS::Queue}
        Lake:
          Type: AWS::S3::Bucket
          Properties:
            NotificationConfiguration:
              LambdaConfigurations:
                - Event: s3:ObjectCreated:*
                  Function: !GetAtt F.Arn
                  Filter: {S3Key: {Rules: [{Name: suffix, Value: .csv}]}}
                - {Event: 's3:ObjectRemoved:*', Function: !GetAtt F.Arn}
              QueueConfigurations: [{Event: 's3:ObjectCreated:*', Queue: !GetAtt Q.Arn}]
        """
    assert events(resources) == [
        {"bucket": "shop-lake/**.csv", "on": "created"},
        {"bucket": "shop-lake", "on": "removed"},
    ]
    tree = sound(F + "\n" + dedent(resources).strip())
    assert tree["buckets"] == {"shop-lake": {"url": ".millrace/buckets/shop-lake", "poll": "200ms"}}
    assert list(tree["aws"]["resources"]["Lake"]["Properties"]["NotificationConfiguration"]) == ["QueueConfigurations"]


@pytest.mark.parametrize(
    ("event", "said"), [("s3:ObjectCreated:Put", "in part"), ("s3:Replication:*", "never happens")]
)
def test_notifications_that_are_not_wholly_understood(event: str, said: str) -> None:
    called = f"{{Event: '{event}', Function: !GetAtt F.Arn}}"
    configuration = f"{{NotificationConfiguration: {{LambdaConfigurations: [{called}]}}}}"
    _, found = woven(f"{F}\nLake: {{Type: AWS::S3::Bucket, Properties: {configuration}}}")
    assert any(said in each for each in found)


def test_topics_and_subscriptions() -> None:
    tree = sound(
        f"""
        {F}
        Q: {{Type: AWS::SQS::Queue}}
        News: {{Type: AWS::SNS::Topic, Properties: {{Subscription: [{{Protocol: lambda, Endpoint: !GetAtt F.Arn}}]}}}}
        S:
          Type: AWS::SNS::Subscription
          Properties:
            TopicArn: !Ref News
            Protocol: sqs
            Endpoint: !GetAtt Q.Arn
            RawMessageDelivery: true
            FilterPolicy: '{{"kind": ["a"]}}'
            FilterPolicyScope: MessageBody
        """
    )
    assert tree["functions"]["F"]["events"] == [{"topic": "shop-News"}]
    subscribed = {"queue": "shop-Q", "filter": {"kind": ["a"]}, "scope": "MessageBody", "raw": True}
    assert tree["topics"] == {"shop-News": {"queues": [subscribed]}}
    _, found = woven(
        "T: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: email, Endpoint: a@example.com}]}}"
    )
    assert "T: nothing is sent by email here: left aside" in found[0]


def test_rules_and_schedules() -> None:
    assert events(
        """
        R:
          Type: AWS::Events::Rule
          Properties:
            ScheduleExpression: rate(5 minutes)
            State: DISABLED
            Targets: [{Id: a, Arn: !GetAtt F.Arn, Input: '{"a": 1}'}]
        P:
          Type: AWS::Events::Rule
          Properties:
            EventBusName: !Ref Bus
            EventPattern: {source: [shop]}
            Targets: [{Id: a, Arn: !GetAtt F.Arn, InputPath: $.detail}]
        T:
          Type: AWS::Events::Rule
          Properties:
            ScheduleExpression: rate(1 hour)
            Targets: [{Id: a, Arn: !GetAtt F.Arn, InputPath: $.time}]
        Bus: {Type: AWS::Events::EventBus, Properties: {Name: orders}}
        S:
          Type: AWS::Scheduler::Schedule
          Properties:
            ScheduleExpression: cron(0 3 * * ? *)
            FlexibleTimeWindow: {Mode: "OFF"}
            Target: {Arn: !GetAtt F.Arn, Input: '{}', RoleArn: x}
        """
    ) == [
        {"schedule": "rate(5 minutes)", "input": {"a": 1}, "enabled": False},
        {"bus": "orders", "pattern": {"source": ["shop"]}, "input_path": "$.detail"},
        {"schedule": "rate(1 hour)", "input_path": "$.time"},
        {"schedule": "cron(0 3 * * ? *)", "input": {}},
    ]


def test_a_rule_to_a_queue_is_the_endpoints() -> None:
    tree = sound(
        """
        Q: {Type: AWS::SQS::Queue}
        R:
          Type: AWS::Events::Rule
          Properties: {EventPattern: {source: [x]}, Targets: [{Id: a, Arn: !GetAtt Q.Arn}]}
        """
    )
    assert tree["aws"]["resources"]["R"]["Properties"]["Name"] == "shop-R"


def test_paths_of_resources_and_routes() -> None:
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations"
    found = events(
        f"""
        Api: {{Type: AWS::ApiGateway::RestApi, Properties: {{Name: x}}}}
        Pets:
          Type: AWS::ApiGateway::Resource
          Properties: {{RestApiId: !Ref Api, ParentId: !GetAtt Api.RootResourceId, PathPart: pets}}
        Pet:
          Type: AWS::ApiGateway::Resource
          Properties: {{RestApiId: !Ref Api, ParentId: !Ref Pets, PathPart: "{{id}}"}}
        Get:
          Type: AWS::ApiGateway::Method
          Properties:
            ResourceId: !Ref Pet
            HttpMethod: GET
            ApiKeyRequired: true
            Integration: {{Uri: !Sub "{uri}"}}
        Http:
          Type: AWS::ApiGatewayV2::Api
          Properties: {{Name: x, CorsConfiguration: {{AllowOrigins: ["https://x"], MaxAge: 60}}}}
        Call:
          Type: AWS::ApiGatewayV2::Integration
          Properties: {{ApiId: !Ref Http, IntegrationUri: !GetAtt F.Arn, PayloadFormatVersion: "2.0"}}
        Route:
          Type: AWS::ApiGatewayV2::Route
          Properties: {{ApiId: !Ref Http, RouteKey: "POST /h", Target: !Join [/, [integrations, !Ref Call]]}}
        """
    )
    assert found == [
        {"http": {"method": "GET", "path": "/pets/{id}", "payload": "v1", "key": True}},
        {
            "http": {
                "method": "POST",
                "path": "/h",
                "payload": "v2",
                "cors": {"origins": ["https://x"], "max_age": 60},
            }
        },
    ]


def test_a_url_alone_has_every_path() -> None:
    found = events("U: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !GetAtt F.Arn, AuthType: NONE}}")
    assert [each["http"]["path"] for each in found] == ["$default"]


def test_api_keys() -> None:
    tree, said = woven(
        """
        A: {Type: AWS::ApiGateway::ApiKey, Properties: {Name: mine, Value: secret}}
        B: {Type: AWS::ApiGateway::ApiKey}
        """
    )
    assert tree["gateway"]["api_keys"] == {"mine": "secret", "B": None}
    assert said == []


def test_usage_plans_limit_nothing() -> None:
    _, said = woven(
        """
        P: {Type: AWS::ApiGateway::UsagePlan, Properties: {ApiStages: [], Throttle: {RateLimit: 1}, Quota: {Limit: 9}}}
        """
    )
    assert [line.rpartition("): ")[2] for line in said] == [
        "Throttle does nothing here: nothing is throttled",
        "Quota does nothing here: nothing is counted",
    ]


def test_asynchronous_calls() -> None:
    tree = sound(
        """
        Q: {Type: AWS::SQS::Queue}
        G: {Type: AWS::Lambda::Function, Properties: {Handler: app.g, Runtime: python3.12, Code: src}}
        F:
          Type: AWS::Lambda::Function
          Properties:
            Handler: app.main
            Runtime: python3.12
            Code: src
            DeadLetterConfig: {TargetArn: !GetAtt Q.Arn}
        C:
          Type: AWS::Lambda::EventInvokeConfig
          Properties:
            FunctionName: !Ref F
            Qualifier: $LATEST
            MaximumRetryAttempts: 0
            MaximumEventAgeInSeconds: 60
            DestinationConfig:
              OnSuccess: {Destination: !GetAtt G.Arn}
              OnFailure: {Destination: 'arn:aws:events:us-east-1:000000000000:event-bus/b'}
        """
    )
    assert tree["functions"]["F"]["asynchronous"] == {
        "dead_letter": {"queue": "shop-Q"},
        "tries": 0,
        "max_age": 60,
        "on_success": {"function": "G"},
        "on_failure": {"bus": "b"},
    }


def test_statements_of_roles() -> None:
    text = """
    Resources:
      F: {Type: AWS::Lambda::Function, Properties: {Handler: a.b, Role: !GetAtt R.Arn}}
      Elsewhere: {Type: AWS::Lambda::Function, Properties: {Handler: a.b, Role: "arn:aws:iam::1:role/x"}}
      R:
        Type: AWS::IAM::Role
        Properties:
          ManagedPolicyArns: ["arn:aws:iam::aws:policy/AmazonSQSFullAccess", "arn:aws:iam::aws:policy/Odd", !Ref M]
          Policies: [{PolicyName: p, PolicyDocument: {Statement: {Effect: Allow, Action: s3:GetObject, Resource: "*"}}}]
      M:
        Type: AWS::IAM::ManagedPolicy
        Properties: {PolicyDocument: {Statement: [{Effect: Deny, Action: sns:Publish}]}}
      P:
        Type: AWS::IAM::Policy
        Properties: {Roles: [!Ref R], PolicyDocument: {Statement: [{Action: sqs:SendMessage}]}}
    """
    root = read_document(dedent(text).encode(), "t.yaml", [])
    assert root is not None
    found = grants(Stack(root, Surroundings(), []))
    actions = [each.plain()["Action"] for each in found["F"]]
    assert actions == ["s3:GetObject", ["sqs:*"], ["*"], "sns:Publish", "sqs:SendMessage"]
    assert "Elsewhere" not in found


def test_what_the_endpoint_makes_and_what_nothing_makes() -> None:
    tree, said = woven(
        """
        Key: {Type: AWS::SSM::Parameter, Properties: {Name: /a, Type: String, Value: !Sub "${AWS::Region}"}}
        Logs: {Type: AWS::Logs::LogGroup}
        Odd: {Type: AWS::Foo::Bar}
        """
    )
    assert tree["aws"]["resources"] == {
        "Key": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a", "Type": "String", "Value": "us-east-1"}}
    }
    assert said == ["t.yaml:4:15: warning: Odd: AWS::Foo::Bar is made by nothing here: left aside"]


def test_functions_that_another_reader_has_put_there_are_found_by_name() -> None:
    faults: list[Fault] = []
    text = f"""
    Resources:
      {F.replace("Code: src", "FunctionName: shop-dev-hello")}
      Q: {{Type: AWS::SQS::Queue}}
      M:
        Type: AWS::Lambda::EventSourceMapping
        Properties: {{EventSourceArn: !GetAtt Q.Arn, FunctionName: !Ref F}}
    """
    root = read_document(dedent(text).encode(), "t.yaml", faults)
    assert root is not None
    draft = Draft(mapping(root.place), faults)
    assert draft.tree is not None
    put(draft.tree, ["functions", "hello"], {"handler": "x.y", "name": "shop-dev-hello"}, root)
    contribute(Stack(root, Surroundings(), faults), draft.tree, draft)
    tree = draft.tree.plain()
    assert list(tree["functions"]) == ["hello"]
    assert tree["functions"]["hello"]["handler"] == "x.y"
    assert tree["functions"]["hello"]["events"][0]["queue"] == "app-Q"


KEYS = "Properties Type EventSourceArn FunctionName KeySchema AttributeName KeyType StreamSpecification RedrivePolicy"
KEYS += (
    " Targets Arn Input EventPattern NotificationConfiguration LambdaConfigurations Function Event Filter S3Key Rules"
)
KEYS += " Body paths get x-amazon-apigateway-integration uri Handler Runtime Code Environment Variables Layers Role"
KEYS += (
    " Subscription Protocol Endpoint TopicArn DestinationConfig OnFailure Destination DeadLetterConfig TargetArn Ref"
)
TEXTS = ["F", "Q", "${F}", "app.f", "python3.12", "arn:aws:sqs:us-east-1:000000000000:q", "rate(1 minute)", "HASH", "{"]
TEXTS += [
    "arn:aws:lambda:us-east-1:000000000000:function:app-F",
    "arn:aws:sns:us-east-1:000000000000:t",
    "lambda",
    "sqs",
]
VALUES: Any = st.recursive(
    st.sampled_from(TEXTS) | st.none() | st.booleans() | st.integers(-2, 5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4),
    max_leaves=15,
)
RESOURCE = st.fixed_dictionaries(
    {"Type": st.sampled_from(sorted(RESOURCE_KEYS))},
    optional={"Properties": st.dictionaries(st.sampled_from(KEYS.split()), VALUES, max_size=6), "Metadata": VALUES},
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from("FGQR"), RESOURCE, max_size=4))
def test_no_resources_raise(resources: dict[str, Any]) -> None:
    place = Place("t", 1, 1)
    draft = Draft(mapping(place))
    assert draft.tree is not None
    stack = Stack(node({"Resources": resources}, Node(None, place, place)), Surroundings(), draft.faults)
    put(draft.tree, ["service"], "x", draft.tree)
    contribute(stack, draft.tree, draft)
    grants(stack)
    examine_tree(draft.tree, Path(), stage=None, overrides=(), faults=[])


LEFT_ASIDE = {
    "a subscription of nothing": (
        "T: {Type: AWS::SNS::Topic}\nS: {Type: AWS::SNS::Subscription, Properties: {Protocol: sqs, Endpoint: x}}",
        "S has no TopicArn",
    ),
    "a subscription to nowhere": (
        "T: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: lambda}]}}",
        "T: a subscription has no Endpoint",
    ),
    "a queue without an ARN": (
        "T: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: sqs, Endpoint: jobs}]}}",
        "expected an ARN",
    ),
    "a protocol that reaches nobody": (
        "T: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: sms, Endpoint: '+1'}]}}",
        "nothing is sent by sms here",
    ),
    "a schedule without a target": (
        "S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: rate(1 hour)}}",
        "S lacks its Target or ScheduleExpression",
    ),
    "a schedule that comes once": (
        "S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: 'at(2030-01-01T00:00:00)', "
        "Target: {Arn: !GetAtt F.Arn}}}",
        "a moment that comes once",
    ),
    "a schedule that calls no function": (
        "S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: rate(1 hour), "
        "Target: {Arn: 'arn:aws:sqs:us-east-1:000000000000:jobs'}}}",
        "only functions are called by schedules here",
    ),
    "a disabled pattern": (
        "R: {Type: AWS::Events::Rule, Properties: {State: DISABLED, EventPattern: {source: [a]}, "
        "Targets: [{Id: a, Arn: !GetAtt F.Arn}]}}",
        "R is disabled: left aside",
    ),
    "a destination without an ARN": (
        "C: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: !Ref F, Qualifier: $LATEST, "
        "DestinationConfig: {OnFailure: {Destination: jobs}}}}",
        "expected an ARN",
    ),
    "a destination that receives nothing": (
        "C: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: !Ref F, Qualifier: $LATEST, "
        "DestinationConfig: {OnFailure: {Destination: 'arn:aws:s3:::b'}}}}",
        "s3 receives nothing here",
    ),
}


@pytest.mark.parametrize("case", LEFT_ASIDE)
def test_what_cannot_be_is_told(case: str) -> None:
    resources, expected = LEFT_ASIDE[case]
    _, said = woven(f"{F}\n{resources}")
    assert any(expected in each for each in said), said
