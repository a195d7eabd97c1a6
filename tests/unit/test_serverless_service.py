from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.config.load import examine_tree
from millrace.config.schema import Project
from millrace.config.tree import Node
from millrace.formats.load import examine
from millrace.formats.reader import Draft, Request
from millrace.formats.serverless import read

HEAD = "service: pets\nprovider: {name: aws, runtime: python3.12}\n"
FUNCTION = "functions: {f: {handler: app.f}}\n"


def drafted(text: str, folder: Path, **said: Any) -> Draft:
    file = folder / "serverless.yml"
    file.write_text(text)
    return read(Request(file, **said))


def project_of(draft: Draft, folder: Path) -> Project:
    assert draft.tree is not None
    faults = [str(fault) for fault in draft.faults if fault.severity == "error"]
    assert not faults, faults
    found = examine_tree(draft.tree, folder, stage=None, overrides=(), faults=[])
    assert found.project is not None, [str(fault) for fault in found.faults]
    return found.project


def tree_of(draft: Draft) -> Any:
    assert draft.tree is not None
    return draft.tree.plain()


def texts(draft: Draft) -> list[str]:
    return [fault.text for fault in draft.faults]


def test_hello(tmp_path: Path) -> None:
    text = """
service: helloworld

frameworkVersion: ">=1.2.0 <2.0.0"

provider:
  name: aws
  region: us-east-1
  runtime: python3.6
  memorySize: 128
  timeout: 10

functions:
  main:
    handler: index.handler
"""
    draft = drafted(text, tmp_path)
    assert tree_of(draft) == {
        "service": "helloworld",
        "stage": "dev",
        "aws": {"account": "000000000000", "region": "us-east-1"},
        "functions": {
            "main": {
                "handler": "index.handler",
                "name": "helloworld-dev-main",
                "timeout": "10s",
                "memory": "128MiB",
                "asynchronous": {},
            }
        },
    }
    function = project_of(draft, tmp_path).functions["main"]
    assert (function.timeout, function.memory) == (10.0, 128 * 2**20)
    assert draft.faults == []
    assert draft.understood == draft.keys > 8


QUEUE_TO_QUEUE = """
service: pipeline
plugins: [serverless-pseudo-parameters]
package:
  exclude:
    - node_modules/**
provider:
  name: aws
  runtime: python3.6
  iamRoleStatements:
    - Effect: "Allow"
      Action:
        - "sqs:ReceiveMessage"
      Resource:
        arn:aws:sqs:#{AWS::Region}:#{AWS::AccountId}:ReadSQS
    - Effect: "Allow"
      Action:
        - "sqs:SendMessage"
        - "sqs:GetQueueUrl"
      Resource:
        - arn:aws:sqs:#{AWS::Region}:#{AWS::AccountId}:WriteSQS
functions:
  main:
    handler: index.handler
    events:
      sqs:
        arn:
          Fn::GetAtt:
            ReadSQS
            Arn
resources:
  Resources:
    WriteSQS:
      Type: AWS::SQS::Queue
      Properties:
        QueueName: "WriteSQS"
    ReadSQS:
     Type: AWS::SQS::Queue
     Properties:
        QueueName: "ReadSQS"
"""


def test_queue_to_queue_with_its_dashes_lost(tmp_path: Path) -> None:
    draft = drafted(QUEUE_TO_QUEUE, tmp_path)
    project = project_of(draft, tmp_path)
    assert set(project.queues) == {"ReadSQS", "WriteSQS"}
    assert project.queues["ReadSQS"].max_receives is None
    assert project.queues_of("main") == ["main.async", "ReadSQS"]
    assert [fault.severity for fault in draft.faults] == ["warning", "warning"]
    statements = draft.policies["main"].statements
    assert [(each.actions, each.resources) for each in statements] == [
        (("sqs:ReceiveMessage",), ("arn:aws:sqs:us-east-1:000000000000:ReadSQS",)),
        (("sqs:SendMessage", "sqs:GetQueueUrl"), ("arn:aws:sqs:us-east-1:000000000000:WriteSQS",)),
    ]


def test_images_to_labels_with_the_model_in_a_bucket(tmp_path: Path) -> None:
    text = """
service: labels
provider:
  name: aws
  runtime: python3.6
  memorySize: 1536
  timeout: 60
  environment: {BUCKET: '${self:custom.bucket}', OUT: !GetAtt DLWriteSQS.QueueName}
custom: {bucket: serverlessdeeplearning}
functions:
  main:
    handler: index.handler
    events:
      - sqs:
          arn:
            Fn::GetAtt:
              - DLReadSQS
              - Arn
resources:
  Resources:
    Models: {Type: 'AWS::S3::Bucket', Properties: {BucketName: '${self:custom.bucket}'}}
    DLReadSQS: {Type: 'AWS::SQS::Queue', Properties: {QueueName: DLReadSQS, VisibilityTimeout: 60}}
    DLWriteSQS: {Type: 'AWS::SQS::Queue', Properties: {QueueName: DLWriteSQS}}
"""
    project = project_of(drafted(text, tmp_path), tmp_path)
    assert project.environment == {"BUCKET": "serverlessdeeplearning", "OUT": "DLWriteSQS"}
    assert list(project.buckets) == ["serverlessdeeplearning"]
    assert project.queues["DLReadSQS"].lease == 60.0


def test_timer_to_table_to_queue_to_csv(tmp_path: Path) -> None:
    text = """
service: fang
provider: {name: aws, runtime: python3.9, region: us-east-1, timeout: 30}
functions:
  producer:
    handler: producer.lambda_handler
    events: [{schedule: rate(1 minute)}]
  consumer:
    handler: consumer.lambda_handler
    events: [{sqs: {arn: !GetAtt Producer.Arn, batchSize: 1}}]
resources:
  Resources:
    Fang:
      Type: AWS::DynamoDB::Table
      Properties:
        TableName: fang
        KeySchema: [{AttributeName: guid, KeyType: HASH}]
        AttributeDefinitions: [{AttributeName: guid, AttributeType: S}]
        BillingMode: PAY_PER_REQUEST
    Producer: {Type: 'AWS::SQS::Queue', Properties: {QueueName: producer}}
    Sentiment: {Type: 'AWS::S3::Bucket', Properties: {BucketName: fangsentiment}}
"""
    draft = drafted(text, tmp_path)
    project = project_of(draft, tmp_path)
    assert project.tables["fang"].key == "guid"
    assert project.inbox("producer") == "producer.async"
    assert project.queues_of("consumer") == ["consumer.async", "producer"]
    assert list(project.buckets) == ["fangsentiment"]
    assert project.aws is not None
    assert "Fang" in project.aws.resources
    assert draft.faults == []


def test_an_api_with_a_key(tmp_path: Path) -> None:
    text = """
service: api
provider:
  name: aws
  runtime: python3.12
  apiGateway:
    apiKeys: [plain, {name: partner, value: abcdefghijklmnopqrstuvwxyz}, {free: [{value: 12345678901234567890}]}]
functions:
  f: {handler: api.f, events: [{http: {path: items, method: get, private: true}}]}
"""
    draft = drafted(text, tmp_path)
    project = project_of(draft, tmp_path)
    assert project.gateway.api_keys == {
        "plain": None,
        "partner": "abcdefghijklmnopqrstuvwxyz",
        "key-7": "12345678901234567890",
    }
    assert texts(draft) == []


def test_api_keys_without_names_on_one_line_are_two(tmp_path: Path) -> None:
    keys = "[{value: aaaaaaaaaaaaaaaaaaaa}, {value: bbbbbbbbbbbbbbbbbbbb}]"
    draft = drafted(f"service: a\nprovider: {{name: aws, runtime: python3.12, apiKeys: {keys}}}\n" + FUNCTION, tmp_path)
    assert sorted((project_of(draft, tmp_path).gateway.api_keys or {}).values()) == [c * 20 for c in "ab"]


@pytest.mark.parametrize(("reserved", "replicas"), [(0, 0), (1, 1), (3, 3), (500, 8)])
def test_reserved_concurrency(reserved: int, replicas: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    draft = drafted(f"{HEAD}functions: {{f: {{handler: app.f, reservedConcurrency: {reserved}}}}}", tmp_path)
    assert (project_of(draft, tmp_path).functions["f"].replicas, texts(draft)) == (replicas, [])


@pytest.mark.parametrize(
    ("provider", "function", "level"),
    [
        ("logs: {lambda: {applicationLogLevel: DEBUG}}", "", "DEBUG"),
        ("logs: {lambda: {applicationLogLevel: DEBUG}}", "logs: {applicationLogLevel: ERROR}", "ERROR"),
        ("", "logs: {applicationLogLevel: INFO}, environment: {AWS_LAMBDA_LOG_LEVEL: WARN}", "WARN"),
    ],
)
def test_the_level_of_a_function_s_log(provider: str, function: str, level: str, tmp_path: Path) -> None:
    text = f"service: a\nprovider: {{name: aws, runtime: python3.12, {provider}}}\n"
    draft = drafted(f"{text}functions: {{f: {{handler: app.f, {function}}}}}", tmp_path)
    assert project_of(draft, tmp_path).functions["f"].environment == {"AWS_LAMBDA_LOG_LEVEL": level}
    assert texts(draft) == []


def test_variables_that_nothing_answers_count_as_not_understood(tmp_path: Path) -> None:
    known = drafted(HEAD + "functions: {f: {handler: app.f, environment: {A: x, B: y}}}", tmp_path)
    unknown = drafted(
        HEAD + "functions: {f: {handler: app.f, environment: {A: '${ssm:/x}', B: '${vvault:y}'}}}", tmp_path
    )
    assert (unknown.understood, unknown.keys) == (known.understood, known.keys + 2)


def test_an_api_key_out_of_the_environment_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETS_KEY", "s3cret-s3cret-s3cret")
    text = "service: a\nprovider: {name: aws, runtime: python3.12, apiKeys: ['${env:PETS_KEY}']}\n" + FUNCTION
    draft = drafted(text, tmp_path)
    assert project_of(draft, tmp_path).gateway.api_keys == {"key-2": None}
    assert "s3cret" not in repr(draft.faults)


def test_the_reader_is_found_by_the_file_s_name(tmp_path: Path) -> None:
    (tmp_path / "serverless.json").write_text(
        json.dumps({"service": "s", "provider": {"name": "aws", "runtime": "python3.12"}, "functions": {}})
    )
    found = examine(tmp_path)
    assert found.project is not None
    assert found.project.service == "s"
    assert found.keys == 5


@pytest.mark.parametrize(
    ("service", "name"), [("service: pets", "pets"), ("service: {name: pets}", "pets"), ("service: 7", "7")]
)
def test_the_service_s_name(service: str, name: str, tmp_path: Path) -> None:
    text = f"{service}\nprovider: {{name: aws, runtime: python3.12}}\n{FUNCTION}"
    assert project_of(drafted(text, tmp_path), tmp_path).service == name


def test_a_stage_is_in_names_and_variables(tmp_path: Path) -> None:
    text = (
        "service: pets\nprovider: {name: aws, runtime: python3.12, stage: '${opt:stage, ''test''}'}\n"
        "params: {prod: {n: 3}, default: {n: 1}}\nfunctions:\n"
        "  f: {handler: app.f, environment: {N: '${param:n}', S: '${self:provider.stage}'}}\n"
    )
    for stage, name, number in ((None, "test", "1"), ("prod", "prod", "3")):
        draft = drafted(text, tmp_path, stage=stage)
        function = project_of(draft, tmp_path).functions["f"]
        assert function.name == f"pets-{name}-f"
        assert function.environment == {"N": number, "S": name}
        assert draft.stages == ["prod"]


def test_functions_and_resources_as_lists_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("one: {handler: one.f}\n")
    (tmp_path / "r.yml").write_text("Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: q}}}\n")
    text = HEAD + (
        "functions:\n  - ${file(a.yml)}\n  - two: {handler: two.f, events: [{sqs: {arn: !GetAtt Q.Arn}}]}\n"
        "resources:\n  - ${file(r.yml)}\n  - Resources: {P: {Type: 'AWS::SQS::Queue', Properties: {QueueName: p}}}\n"
    )
    project = project_of(drafted(text, tmp_path), tmp_path)
    assert list(project.functions) == ["one", "two"]
    assert list(project.queues) == ["q", "p"]


def test_what_serverless_makes_can_be_referred_to(tmp_path: Path) -> None:
    text = (
        HEAD
        + """
functions:
  send-mail:
    handler: ./src/mail.send
    environment:
      SELF: !GetAtt SendDashmailLambdaFunction.Arn
      TOPIC: !Ref SNSTopicHello
      BUCKET: !Ref S3BucketPetsimages
      ROLE: !GetAtt IamRoleLambdaExecution.Arn
    events: [{sns: hello}, {s3: pets-images}]
resources:
  Resources:
    Q:
      Type: AWS::SQS::Queue
      Properties: {QueueName: '${self:service}-q'}
    Sub:
      Type: AWS::SNS::Subscription
      Properties: {TopicArn: !Ref SNSTopicHello, Protocol: sqs, Endpoint: !GetAtt Q.Arn}
    M:
      Type: AWS::Lambda::EventSourceMapping
      Properties: {EventSourceArn: !GetAtt Q.Arn, FunctionName: !Ref SendDashmailLambdaFunction}
  Outputs: {Arn: {Value: !GetAtt SendDashmailLambdaFunction.Arn}}
"""
    )
    project = project_of(drafted(text, tmp_path), tmp_path)
    function = project.functions["send-mail"]
    assert function.handler == "src/mail.send"
    assert function.environment["SELF"] == "arn:aws:lambda:us-east-1:000000000000:function:pets-dev-send-mail"
    assert function.environment["TOPIC"] == "arn:aws:sns:us-east-1:000000000000:hello"
    assert function.environment["BUCKET"] == "pets-images"
    assert [queue.queue for queue in project.topics["hello"].queues] == ["pets-q"]
    assert project.queues_of("send-mail") == ["send-mail.async", "pets-q"]


def test_conditions_and_other_runtimes_leave_functions_out(tmp_path: Path) -> None:
    text = (
        HEAD
        + """
functions:
  off: {handler: a.f, condition: IsProd}
  on: {handler: a.f, condition: IsDev}
  node: {handler: a.f, runtime: nodejs20.x, events: [{sns: x}]}
  image: {image: {name: x}}
resources:
  Conditions:
    IsProd: !Equals ['${sls:stage}', prod]
    IsDev: !Not [{Condition: IsProd}]
"""
    )
    draft = drafted(text, tmp_path)
    assert list(project_of(draft, tmp_path).functions) == ["on"]
    assert [text.partition(";")[0] for text in texts(draft)] == [
        "functions.node: nodejs20.x does not run here: the function is left aside",
        "functions.image is a container image, which does not run here: it is left aside",
    ]


def test_calls_where_nobody_waits(tmp_path: Path) -> None:
    text = (
        HEAD
        + """
functions:
  after: {handler: a.f}
  f:
    handler: a.f
    maximumRetryAttempts: 0
    maximumEventAge: 120
    onError: arn:aws:sns:us-east-1:000000000000:alarms
    destinations: {onSuccess: after, onFailure: {type: sqs, arn: !GetAtt Dead.Arn}}
  g: {handler: a.f, destinations: {onSuccess: arn:aws:lambda:us-east-1:1:function:pets-dev-f}}
resources: {Resources: {Dead: {Type: 'AWS::SQS::Queue', Properties: {QueueName: dead}}}}
"""
    )
    project = project_of(drafted(text, tmp_path), tmp_path)
    calls = project.functions["f"].asynchronous
    assert calls is not None
    assert (calls.tries, calls.max_age) == (0, 120.0)
    targets = [calls.on_success, calls.on_failure, calls.dead_letter]
    assert [each and each.target for each in targets] == [("function", "after"), ("queue", "dead"), ("topic", "alarms")]
    others = project.functions["g"].asynchronous
    assert others is not None
    assert others.on_success is not None
    assert others.on_success.target == ("function", "f")


def test_a_secret_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETS_TOKEN", "s3cret")
    text = HEAD + (
        "custom: {url: 'https://x/${env:PETS_TOKEN}'}\nfunctions:\n  f:\n    handler: app.f\n"
        "    environment: {URL: '${self:custom.url}', T: \"${env:PETS_TOKEN, 'none'}\"}\n"
        "    timeout: ${env:PETS_TOKEN}\n"
    )
    draft = drafted(text, tmp_path)
    assert draft.tree is not None
    environment = draft.tree.value["functions"].value["f"].value["environment"].value
    assert environment["URL"].value == "https://x/s3cret"
    assert environment["URL"].written == "https://x/${env:PETS_TOKEN}"
    assert environment["T"].written == "${env:PETS_TOKEN, none}"
    found = examine_tree(draft.tree, tmp_path, stage=None, overrides=(), faults=[])
    assert found.project is None
    assert "s3cret" not in repr([*found.faults, *found.warnings, *draft.faults])


def test_a_layer_of_the_provider_is_told_once(tmp_path: Path) -> None:
    layers = "layers: ['arn:aws:lambda:us-east-1:1:layer:x:1']"
    text = f"service: a\nprovider: {{name: aws, {layers}}}\nfunctions: {{f: {{handler: a.f}}, g: {{handler: a.f}}}}"
    draft = drafted(text, tmp_path)
    project_of(draft, tmp_path)
    told = {each for each in texts(draft) if "lies at AWS" in each}
    assert [each.partition(": ")[0] for each in told] == ["provider"]


def test_layers_of_the_same_file(tmp_path: Path) -> None:
    text = HEAD + (
        "layers: {common-lib: {path: layers/common}, out: {path: ../x}}\nfunctions:\n"
        "  f: {handler: a.f, layers: [{Ref: CommonDashlibLambdaLayer}], environment: {PYTHONPATH: lib}}\n"
        "  g: {handler: a.f, module: src/g, layers: [{Ref: CommonDashlibLambdaLayer}]}\n"
        "  h: {handler: a.f, layers: [{Ref: OutLambdaLayer}]}\n"
    )
    draft = drafted(text, tmp_path)
    functions = project_of(draft, tmp_path).functions
    assert functions["f"].environment == {"PYTHONPATH": "layers/common/python:lib"}
    assert functions["g"].environment == {"PYTHONPATH": "../../layers/common/python"}
    assert functions["h"].environment == {}
    assert len(draft.faults) == 1


def test_null_takes_a_variable_out(tmp_path: Path) -> None:
    text = (
        "service: s\nprovider: {name: aws, runtime: python3.12, environment: {A: 1, B: null}}\n"
        "functions: {f: {handler: a.f, environment: {A: null, C: null, D: true}}}\n"
    )
    draft = drafted(text, tmp_path)
    project = project_of(draft, tmp_path)
    assert project.environment == {"A": "1"}
    assert project.functions["f"].environment == {"D": "true"}
    assert texts(draft) == ["functions.f: null does not take the provider's A away here"]


def test_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PETS_COLOR=blue\n")
    (tmp_path / ".env.qa").write_text("PETS_COLOR=red\n")
    text = (
        "service: a\nuseDotenv: true\nprovider: {name: aws, runtime: python3.12, stage: '${opt:stage, ''qa''}'}\n"
        "functions: {f: {handler: app.f, environment: {C: '${env:PETS_COLOR}'}}}\n"
    )
    assert project_of(drafted(text, tmp_path), tmp_path).functions["f"].environment == {"C": "red"}


def test_a_role_of_the_file_s_own(tmp_path: Path) -> None:
    text = """
service: pets
provider: {name: aws, runtime: python3.12, iam: {role: !GetAtt Mine.Arn}}
functions:
  a: {handler: a.f}
  b: {handler: a.f, role: Mine}
  c: {handler: a.f, role: 'arn:aws:iam::1:role/theirs'}
resources:
  Resources:
    Mine:
      Type: AWS::IAM::Role
      Properties:
        RoleName: mine
        Policies: [{PolicyDocument: {Statement: [{Effect: Allow, Action: 'sqs:*', Resource: '*'}]}}]
"""
    draft = drafted(text, tmp_path)
    project_of(draft, tmp_path)
    assert {key: [each.actions for each in policy.statements] for key, policy in draft.policies.items()} == {
        "a": [("sqs:*",)],
        "b": [("sqs:*",)],
    }
    assert not draft.policies["a"].polls  # Serverless adds what events need to its own role alone


def test_a_bucket_under_the_provider_is_made_by_its_own_name(tmp_path: Path) -> None:
    text = """
service: pets
provider: {name: aws, runtime: python3.12, s3: {images: {name: pets-images}}}
functions: {f: {handler: a.f, environment: {B: !Ref S3BucketImages}, events: [{s3: images}]}}
"""
    project = project_of(drafted(text, tmp_path), tmp_path)
    assert list(project.buckets) == ["pets-images"]
    assert project.functions["f"].environment == {"B": "pets-images"}


def test_statements_of_the_iam_roles_per_function_plugin(tmp_path: Path) -> None:
    text = """
service: pets
plugins: [serverless-iam-roles-per-function]
provider:
  name: aws
  runtime: python3.12
  iam: {role: {statements: [{Effect: Allow, Action: 's3:GetObject', Resource: '*'}]}}
functions:
  plain: {handler: a.f}
  own: {handler: a.f, iamRoleStatements: [{Effect: Allow, Action: ['sqs:SendMessage'], Resource: '*'}]}
  both:
    handler: a.f
    iamRoleStatementsInherit: true
    iamRoleStatements: [{Effect: Allow, Action: ['sqs:SendMessage'], Resource: '*'}]
  other: {handler: a.f, role: 'arn:aws:iam::1:role/x'}
"""
    policies = drafted(text, tmp_path).policies
    actions = {
        key: [action for each in policy.statements for action in each.actions] for key, policy in policies.items()
    }
    assert actions == {
        "plain": ["s3:GetObject"],
        "own": ["sqs:SendMessage"],
        "both": ["sqs:SendMessage", "s3:GetObject"],
    }


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (HEAD + FUNCTION + "plugins: [serverless-step-functions]", "the plugin serverless-step-functions does nothing"),
        (HEAD + FUNCTION + "plugins: [serverless-ofline]", "did you mean 'serverless-offline'?"),
        (HEAD + FUNCTION + "plugins: [serverless-super-thing]", "what it does is not done here"),
        (HEAD + FUNCTION + "plugins: {modules: [mine]}", "the plugin mine is not understood"),
        (HEAD + FUNCTION + "custom: {wsgi: {app: a.b, textMimeTypes: [x]}}", "custom.wsgi: textMimeTypes does nothing"),
        (HEAD + FUNCTION + "functons: {}", "functons is not understood and left aside; did you mean 'functions'?"),
        (
            HEAD + "functions: {f: {handler: a.f, layers: ['arn:aws:lambda:us-east-1:1:layer:x:1']}}",
            "a layer that lies",
        ),
        (HEAD + "functions: {f: {handler: a.f, memmorySize: 1}}", "did you mean 'memorySize'?"),
        (HEAD + "functions: {f: {handler: a.f, url: true}}", "functions.f: url does nothing here"),
        (HEAD + FUNCTION + "resources: {Transform: x}", "resources: Transform does nothing here"),
    ],
)
def test_what_is_left_aside_is_told(text: str, warning: str, tmp_path: Path) -> None:
    draft = drafted(text, tmp_path)
    project_of(draft, tmp_path)
    assert any(warning in each for each in texts(draft)), texts(draft)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the file; expected a mapping with service, provider and functions"),
        ("[1]", "the file; expected a mapping with service, provider and functions, got a list"),
        ("a: [", "not YAML"),
        ("provider: {name: aws}\n" + FUNCTION, "service; expected the service's name"),
        ("service: a\n" + FUNCTION, "provider; expected a mapping"),
        ("service: a\nprovider: {name: google}\n" + FUNCTION, "provider.name; expected aws, got 'google'"),
        (HEAD + "functions: [f]", "functions; expected a mapping of functions by name"),
        (HEAD + "functions: {f: 1}", "functions.f; expected a mapping with a handler, got 1"),
        (HEAD + "functions: {f: {handler: a.f, events: 3}}", "functions.f.events; expected a list of events, got 3"),
        (HEAD + FUNCTION + "resources: [1]", "resources; expected a mapping with `Resources:`"),
        (HEAD + FUNCTION + "resources: {Resources: [1]}", "resources.Resources; expected a mapping"),
        (
            HEAD + "functions: {f: {handler: a.f, destinations: {onSuccess: ff}}, fff: {handler: a.f}}",
            "functions.f.destinations.onSuccess; expected an ARN, or one of f, fff, got 'ff'; did you mean 'fff'?",
        ),
        (HEAD + "functions: {f: {handler: '${self:custom.h}'}}", "${self:custom.h} leads nowhere"),
    ],
)
def test_what_makes_no_sense_is_a_fault(text: str, fault: str, tmp_path: Path) -> None:
    draft = drafted(text, tmp_path)
    errors = [each for each in draft.faults if each.severity == "error"]
    assert any(fault in each.text for each in errors), texts(draft)
    assert all(each.place.line for each in errors)


def test_every_node_of_the_tree_has_a_place_in_the_file(tmp_path: Path) -> None:
    def places(node: Node) -> list[int]:
        inside = node.value.values() if isinstance(node.value, dict) else node.value
        below = [line for child in inside for line in places(child)] if isinstance(node.value, dict | list) else []
        return [node.place.line, *below]

    draft = drafted(QUEUE_TO_QUEUE, tmp_path)
    assert draft.tree is not None
    assert all(0 < line < 42 for line in places(draft.tree))


WORDS = re.findall(
    r"\S+",
    """events sqs http httpApi s3 sns stream schedule eventBridge arn service provider functions resources custom
    plugins name runtime python3.12 Fn::GetAtt Ref Resources Type Properties AWS::SQS::Queue f handler a.f iam role
    environment statements ${self:custom} ${self:} ${opt:stage} ${file(x.yml)} #{AWS::Region} rate path method cors
    onError destinations onSuccess Q Arn Fn::Sub bucket rules prefix apiGateway apiKeys condition extensions layers
    memorySize timeout pattern Conditions""",
)
EVENTS = WORDS[1:9]
scalars = st.one_of(st.sampled_from(WORDS), st.integers(-2, 10**12), st.booleans(), st.none(), st.text(max_size=6))
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=24,
)
files = st.fixed_dictionaries(
    {},
    optional={
        "service": documents,
        "provider": documents,
        "functions": st.one_of(
            documents,
            st.dictionaries(
                st.sampled_from(["f", "g-h", "i_j"]),
                st.fixed_dictionaries(
                    {"handler": scalars},
                    optional={
                        "events": st.lists(st.dictionaries(st.sampled_from(EVENTS), documents, max_size=2), max_size=3),
                        **dict.fromkeys(("environment", "destinations", "onError", "condition", "timeout"), documents),
                        **dict.fromkeys(("memorySize", "iamRoleStatements", "name", "role", "module"), documents),
                    },
                ),
                max_size=3,
            ),
        ),
        "resources": documents,
        "custom": documents,
        "plugins": documents,
        "params": documents,
        "frameworkVersion": documents,
        "useDotenv": documents,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(files)
def test_no_document_raises(tmp_path: Path, document: Any) -> None:
    (tmp_path / "serverless.json").write_text(json.dumps(document))
    found = examine(tmp_path / "serverless.json")
    assert found.project is not None or found.faults


@pytest.mark.parametrize("handler", ["wsgi_handler.handler", "wsgi.handler"])
def test_the_wsgi_plugins_handler_is_the_application(handler: str, tmp_path: Path) -> None:
    text = HEAD + "plugins: [serverless-wsgi]\ncustom: {wsgi: {app: '${self:custom.at}.app'}, at: api/site}\n"
    text += f"functions:\n  api: {{handler: {handler}, events: [httpApi: '*']}}\n  own: {{handler: jobs.run}}\n"
    draft = drafted(text, tmp_path)
    functions = project_of(draft, tmp_path).functions
    assert not texts(draft)
    assert functions["api"].wsgi == "api.site.app"
    assert functions["api"].handler is None
    assert functions["own"].handler == "jobs.run"


def test_a_handler_called_wsgi_without_the_plugins_settings_is_a_handler(tmp_path: Path) -> None:
    project = project_of(drafted(HEAD + "functions: {api: {handler: wsgi.handler}}", tmp_path), tmp_path)
    assert project.functions["api"].handler == "wsgi.handler"


def test_a_provider_by_its_name_alone(tmp_path: Path) -> None:
    draft = drafted("service: pets\nprovider: aws\n" + FUNCTION, tmp_path)
    assert project_of(draft, tmp_path).aws is not None


@pytest.mark.parametrize("provider", ["google", "{name: google, region: us-central1}"])
def test_of_a_service_for_another_cloud_one_thing_is_said(provider: str, tmp_path: Path) -> None:
    text = f"service: pets\nprovider: {provider}\nfunctions: {{f: {{handler: http, events: [http: path]}}}}\n"
    draft = drafted(text, tmp_path)
    assert draft.tree is None
    assert texts(draft) == ["only services for AWS run here: provider.name; expected aws, got 'google'"]


def test_the_word_that_plugins_begin_with_makes_none_like_another(tmp_path: Path) -> None:
    (told,) = texts(drafted(HEAD + FUNCTION + "plugins: [serverless-super-thing]", tmp_path))
    assert "did you mean" not in told


@pytest.mark.parametrize("handler", ["app/run", "a.b/run", "app"])
def test_a_handler_that_lambda_cannot_split_is_refused(handler: str, tmp_path: Path) -> None:
    (tmp_path / "serverless.yml").write_text(HEAD + f"functions: {{f: {{handler: {handler}}}}}\n")
    (fault,) = examine(tmp_path / "serverless.yml").faults
    near = f"; did you mean {handler.replace('/', '.')!r}?" if "/" in handler else ""
    assert fault.text == f"functions.f.handler; expected module.name such as jobs.refresh, got {handler!r}{near}"
