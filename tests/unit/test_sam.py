"""template.yaml as a whole: SAM's own words, places, parameters, and what is wrong with a template."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import needs_module

from millrace.config.load import examine_tree
from millrace.config.schema import Project
from millrace.errors import MillraceError
from millrace.formats.reader import Draft, Request
from millrace.formats.sam import read

HEAD = "Transform: AWS::Serverless-2016-10-31\n"


@pytest.fixture(autouse=True)
def _sam() -> None:
    needs_module("samtranslator")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def draft_of(shop: Path, template: str, stage: str | None = None, **parameters: str) -> Draft:
    file = shop / "template.yaml"
    file.write_text(dedent(template))
    return read(Request(file, stage, parameters))


def project_of(shop: Path, template: str, **parameters: str) -> tuple[Project, list[str]]:
    draft = draft_of(shop, HEAD + dedent(template), **parameters)
    assert draft.tree is not None, draft.faults
    errors = [fault for fault in draft.faults if fault.severity == "error"]
    found = examine_tree(draft.tree, shop, stage=None, overrides=(), faults=errors)
    assert found.project is not None, [str(fault) for fault in found.faults]
    return found.project, [str(fault) for fault in draft.faults]


def told(shop: Path, template: str, **parameters: str) -> list[str]:
    return [str(fault) for fault in draft_of(shop, HEAD + dedent(template), **parameters).faults]


AGGREGATE = """
Globals:
  Function:
    Timeout: 10
    Runtime: python3.11
    Environment: {Variables: {LEVEL: info}}
Parameters:
  Environment: {Type: String, AllowedValues: [staging, prod]}
Resources:
  UserTable:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub "${Environment}_master_UserTable"
      AttributeDefinitions: [{AttributeName: msg_id, AttributeType: S}]
      KeySchema: [{AttributeName: msg_id, KeyType: HASH}]
      BillingMode: PAY_PER_REQUEST
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  AggTable:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub "${Environment}_master_AggTable"
      AttributeDefinitions:
        - {AttributeName: sender_id, AttributeType: S}
        - {AttributeName: date, AttributeType: S}
      KeySchema: [{AttributeName: sender_id, KeyType: HASH}, {AttributeName: date, KeyType: RANGE}]
      BillingMode: PAY_PER_REQUEST
  Aggregate:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/aggregate/
      Handler: app.handler
      Environment: {Variables: {DDBTableName: !Ref AggTable}}
      Policies:
        - DynamoDBCrudPolicy: {TableName: !Ref AggTable}
        - Statement:
            - Effect: Allow
              Action: [dynamodb:GetRecords]
              Resource: !GetAtt UserTable.StreamArn
      Events:
        DDBEvent:
          Type: DynamoDB
          Properties: {Stream: !GetAtt UserTable.StreamArn, StartingPosition: TRIM_HORIZON, BatchSize: 1, Enabled: true}
  GetCredits:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/get_credits/
      Handler: app.handler
      Environment: {Variables: {DDBTableName: !Ref AggTable}}
      Events:
        Credits:
          Type: Api
          Properties: {Path: /credits, Method: get, RequestParameters: [method.request.querystring.userId]}
"""


def test_a_stream_to_an_aggregate_table_as_the_seed_has_it(shop: Path) -> None:
    project, warnings = project_of(shop, AGGREGATE, Environment="staging")
    assert not warnings
    assert {name: (each.key, each.sort) for name, each in project.tables.items()} == {
        "staging_master_UserTable": ("msg_id", None),
        "staging_master_AggTable": ("sender_id", "date"),
    }
    function = project.functions["Aggregate"]
    assert (function.handler, function.root, function.timeout) == ("app.handler", "functions/aggregate", 10.0)
    assert function.name == "shop-Aggregate"
    assert function.environment == {"LEVEL": "info", "DDBTableName": "staging_master_AggTable"}
    assert function.memory == 128 * 2**20
    (event,) = function.events
    found = event.model_dump(exclude_unset=True)
    assert found["table"] == "staging_master_UserTable"
    assert (found["view"], found["start"], found["batch"]["size"]) == ("new", "oldest", 1)
    (route,) = project.functions["GetCredits"].events
    assert route.model_dump()["http"]["path"] == "/credits"
    assert route.model_dump()["http"]["payload"] == "v1"
    assert project.aws is not None
    assert project.aws.resources["UserTable"]["Properties"]["TableName"] == "staging_master_UserTable"


def test_what_each_role_allows_is_handed_on(shop: Path) -> None:
    draft = draft_of(shop, HEAD + AGGREGATE, Environment="prod")
    statements = draft.policies["Aggregate"].statements
    actions = [action for each in statements for action in each.actions]
    assert "dynamodb:PutItem" in actions
    assert "dynamodb:GetRecords" in actions
    own = next(each for each in statements if each.actions == ("dynamodb:GetRecords",))
    assert own.resources[0].endswith(":table/prod_master_UserTable/stream/dev")


def test_faults_name_the_templates_lines(shop: Path) -> None:
    (missing,) = told(shop, AGGREGATE)
    assert missing.startswith("template.yaml:9:3: the parameter Environment has no value; expected --parameter ")
    assert "--parameter Environment: the parameter Environment; expected one of staging, prod, got 'x'" in told(
        shop, AGGREGATE, Environment="x"
    )
    assert told(shop, AGGREGATE, Environment="prod", Other="1") == [
        "--parameter Other: the template has no parameter Other; expected Environment"
    ]
    draft = draft_of(shop, HEAD + AGGREGATE.replace("Timeout: 10", "Timeout: long"), Environment="prod")
    assert draft.tree is not None
    found = examine_tree(draft.tree, shop, stage=None, overrides=(), faults=[])
    assert {str(fault).split(";")[0] for fault in found.faults} == {
        "template.yaml:5:14: functions.Aggregate.timeout",
        "template.yaml:5:14: functions.GetCredits.timeout",
    }


EVENTS = """
Resources:
  Jobs: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 60}}
  Lost: {Type: AWS::SQS::Queue}
  Lake: {Type: AWS::S3::Bucket, Properties: {BucketName: lake}}
  News: {Type: AWS::SNS::Topic}
  Work:
    Type: AWS::Serverless::Function
    Properties:
      Handler: src/app.handler
      Runtime: python3.11
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Lost.Arn}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Lost.Arn}}
      AutoPublishAlias: live
      Events:
        Q:
          Type: SQS
          Properties:
            Queue: !GetAtt Jobs.Arn
            BatchSize: 10
            MaximumBatchingWindowInSeconds: 2
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 5}
            FilterCriteria: {Filters: [{Pattern: '{"body": {"kind": ["a"]}}'}]}
        B:
          Type: S3
          Properties:
            Bucket: !Ref Lake
            Events: s3:ObjectCreated:*
            Filter: {S3Key: {Rules: [{Name: prefix, Value: in/}, {Name: suffix, Value: .jpg}]}}
        N: {Type: SNS, Properties: {Topic: !Ref News, FilterPolicy: {kind: [a]}}}
        S: {Type: Schedule, Properties: {Schedule: rate(1 minute), Input: '{"a": 1}', Enabled: false}}
        V: {Type: ScheduleV2, Properties: {ScheduleExpression: cron(0 3 * * ? *)}}
        E: {Type: EventBridgeRule, Properties: {Pattern: {source: [shop]}, InputPath: $.detail}}
        A: {Type: Api, Properties: {Path: "/pets/{id}", Method: post}}
        H: {Type: HttpApi, Properties: {Path: /h, Method: any}}
"""


def test_every_event_that_can_come_here(shop: Path) -> None:
    project, warnings = project_of(shop, EVENTS)
    assert not warnings
    function = project.functions["Work"]
    events = {next(iter(each)): each for each in (one.model_dump(exclude_unset=True) for one in function.events)}
    assert events["queue"] == {
        "queue": "shop-Jobs",
        "batch": {"size": 10, "wait": 2.0, "bytes": 6_000_000},
        "partial": True,
        "filter": [{"body": {"kind": ["a"]}}],
        "on_error": "batch",
        "retry": "lease",
        "concurrency": 5,
    }
    assert events["bucket"] == {"bucket": "lake/in/**.jpg", "on": "created"}
    assert events["topic"] == {"topic": "shop-News", "filter": {"kind": ["a"]}}
    assert events["bus"] == {"bus": "default", "pattern": {"source": ["shop"]}, "input_path": "$.detail"}
    schedules = [each.model_dump(exclude_unset=True) for each in function.events if hasattr(each, "schedule")]
    assert schedules == [
        {"schedule": "rate(1 minute)", "input": {"a": 1}, "enabled": False},
        {"schedule": "cron(0 3 * * ? *)"},
    ]
    paths = {(each.method, each.path, each.payload) for each in function.events if hasattr(each, "http")}
    assert paths == {("POST", "/pets/{id}", "v1"), ("ANY", "/h", "v2")}
    assert function.asynchronous is not None
    assert function.asynchronous.tries == 1
    assert function.asynchronous.dead_letter is not None
    assert function.asynchronous.dead_letter.queue == "shop-Lost"
    assert function.asynchronous.on_failure is not None
    assert function.asynchronous.on_failure.queue == "shop-Lost"
    assert project.queues["shop-Jobs"].lease == 60.0
    assert project.queues["shop-Jobs"].max_receives is None


def test_events_stand_where_the_template_has_them(shop: Path) -> None:
    draft = draft_of(shop, HEAD + EVENTS)
    assert draft.tree is not None
    listed = draft.tree.value["functions"].value["Work"].value["events"].value
    lines = (shop / "template.yaml").read_text().split("\n")
    starts = {next(iter(each.value)): lines[each.place.line - 1].strip() for each in listed}
    assert starts["queue"].startswith("Queue:")
    assert starts["bucket"] in ("B:", "Type: S3")
    assert starts["topic"].startswith("N:")
    assert starts["bus"].startswith("E:")
    assert starts["http"].startswith(("A:", "H:"))


def test_keys_cors_urls_and_layers(shop: Path) -> None:
    project, _ = project_of(
        shop,
        """
        Globals: {Api: {Cors: {AllowOrigin: "'https://x'", AllowMethods: "'GET,POST'"}}}
        Resources:
          MyApi:
            Type: AWS::Serverless::Api
            Properties: {StageName: Prod, Auth: {ApiKeyRequired: true, UsagePlan: {CreateUsagePlan: PER_API}}}
          Common: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layers/common}}
          F:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: src
              Handler: app.handler
              Runtime: python3.12
              Layers: [!Ref Common]
              Events: {A: {Type: Api, Properties: {Path: /a, Method: get, RestApiId: !Ref MyApi}}}
          G:
            Type: AWS::Serverless::Function
            Properties: {Handler: g.handler, Runtime: python3.12, FunctionUrlConfig: {AuthType: NONE}}
        """,
    )
    (event,) = project.functions["F"].events
    route = event.model_dump()["http"]
    assert (route["key"], route["cors"]["origins"], route["cors"]["methods"]) == (True, ["https://x"], ["GET", "POST"])
    assert project.functions["F"].environment == {"PYTHONPATH": "../layers/common/python"}
    assert project.gateway.api_keys == {"MyApiApiKey": None}
    paths = [each.model_dump()["http"]["path"] for each in project.functions["G"].events]
    assert paths == ["/G", "/G/{proxy+}"]


def test_a_described_api_is_read_from_its_file(shop: Path) -> None:
    (shop / "api.yaml").write_text(
        dedent("""
        openapi: 3.0.1
        paths:
          /x:
            get:
              x-amazon-apigateway-integration:
                type: aws_proxy
                uri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations
        """)
    )
    template = """
        Resources:
          MyApi: {Type: AWS::Serverless::Api, Properties: {StageName: Prod, DefinitionUri: %s}}
          F: {Type: AWS::Serverless::Function, Properties: {Handler: app.handler, Runtime: python3.12}}
        """
    project, _ = project_of(shop, template % "api.yaml")
    assert [each.model_dump()["http"]["path"] for each in project.functions["F"].events] == ["/x"]
    assert "a file outside of the project" in " ".join(told(shop, template % "../other.yaml"))
    assert "cannot read nope.yaml" in " ".join(told(shop, template % "nope.yaml"))


def test_a_translation_is_kept_for_the_next_start(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = draft_of(shop, HEAD + AGGREGATE, Environment="prod")
    assert first.tree is not None
    assert not (shop / ".millrace").exists()
    (shop / ".millrace").mkdir()
    draft_of(shop, HEAD + AGGREGATE, Environment="prod")
    kept = shop / ".millrace" / "template.json"
    assert kept.stat().st_mode & 0o077 == 0
    monkeypatch.setattr("millrace.formats.sam.translate", lambda *_: pytest.fail("translated again"))
    again = draft_of(shop, HEAD + AGGREGATE, Environment="prod")
    assert again.tree is not None
    assert again.tree.plain() == first.tree.plain()
    monkeypatch.undo()
    monkeypatch.chdir(shop)
    other = draft_of(shop, HEAD + AGGREGATE, Environment="staging")
    assert other.tree is not None
    assert "staging_master_UserTable" in other.tree.plain()["tables"]
    kept.write_text('{"key": 3')
    assert draft_of(shop, HEAD + AGGREGATE, Environment="prod").tree is not None


@pytest.mark.parametrize("parameter", ["{Type: String, NoEcho: true}", "{Type: String, NoEcho: true, Default: s3cret}"])
def test_a_secret_reaches_the_function_and_no_other_file(shop: Path, parameter: str) -> None:
    (shop / ".millrace").mkdir()
    template = f"""
        Parameters: {{Password: {parameter}}}
        Resources:
          F:
            Type: AWS::Serverless::Function
            Properties:
              Handler: app.handler
              Runtime: python3.12
              Environment: {{Variables: {{PASSWORD: !Ref Password}}}}
        """
    given = {} if "Default" in parameter else {"Password": "s3cret"}
    draft = draft_of(shop, HEAD + dedent(template), **given)
    assert draft.tree is not None
    variable = draft.tree.value["functions"].value["F"].value["environment"].value["PASSWORD"]
    assert variable.value == "s3cret"
    assert "s3cret" not in variable.shown
    assert "s3cret" not in (shop / ".millrace" / "template.json").read_text()


FUNCTION = """
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: python3.12
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("      Memory: 3\n", "template.yaml:9:7: warning: F: Memory is not understood and left aside"),
        ("      Memory: 3\n", "template.yaml:9:7: Resource with id [F] is invalid. property Memory not defined"),
        ("      FileSystemConfigs: []\n", "warning: F: FileSystemConfigs does nothing here: no file system is mounted"),
        ("      Timeout: {}\n      InlineCode: 'x = 1'\n", "warning: F: InlineCode does nothing here"),
        (
            "      Events: {K: {Type: Kinesis, Properties: {Stream: 'arn:aws:kinesis:r:1:stream/s'}}}\n",
            "warning: F.Events.K: Kinesis does nothing here: there are no Kinesis streams",
        ),
        ("      Events: {K: {Type: Sqs, Properties: {}}}\n", "F.Events.K: Sqs is not understood; did you mean 'SQS'?"),
        (
            "      Events: {K: {Type: SQS, Properties: {}}}\n",
            "template.yaml:9:16: Resource with id [FK] is invalid. Missing required property 'Queue'",
        ),
        (
            "  G: {Type: AWS::Serverless::Functoin}\n",
            "G: AWS::Serverless::Functoin is not understood; did you mean 'AWS::Serverless::Function'?",
        ),
        ("  G: {Type: AWS::Foo::Bar}\n", "template.yaml:9:13: warning: G: AWS::Foo::Bar is made by nothing here"),
        (
            "Globals: {Function: {Timeot: 3}}\n",
            "template.yaml:9:22: Globals.Function: SAM takes no Timeot for all; did you mean 'Timeout'?",
        ),
        ("Ruels: {}\n", "the template: Ruels is not understood and left aside; did you mean 'Rules'?"),
    ],
)
def test_what_is_not_understood_is_never_silent(shop: Path, more: str, said: str) -> None:
    assert any(said in each for each in told(shop, FUNCTION + more)), told(shop, FUNCTION + more)


@pytest.mark.parametrize(
    "event",
    [
        "{Type: Kinesis, Properties: {Stream: 'arn:aws:kinesis:r:1:stream/s', StartingPosition: LATEST}}",
        "{Type: MSK, Properties: {Stream: 'arn:aws:kafka:r:1:cluster/k', StartingPosition: LATEST, Topics: [a]}}",
        "{Type: IoTRule, Properties: {Sql: select 1}}",
        "{Type: CloudWatchLogs, Properties: {LogGroupName: x, FilterPattern: y}}",
    ],
)
def test_an_event_that_never_happens_here_is_told_once(shop: Path, event: str) -> None:
    before, found = told(shop, FUNCTION), told(shop, FUNCTION + f"      Events: {{K: {event}}}\n")
    (said,) = [each for each in found if each not in before]
    assert "F.Events.K: " in said
    assert " does nothing here: " in said


def test_other_languages_are_left_out_with_what_triggers_them(shop: Path) -> None:
    found = told(
        shop,
        """
        Resources:
          Jobs: {Type: AWS::SQS::Queue}
          F:
            Type: AWS::Serverless::Function
            Properties:
              Handler: app.handler
              Runtime: nodejs20.x
              Events: {Q: {Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn}}}
        """,
    )
    assert found == ["template.yaml:9:16: warning: F runs on nodejs20.x, not on Python: left out"]


@pytest.mark.parametrize("content", ["", "3", "[]", "{}", "Resources:", "Resources: 3", "Resources: {}", "a: ["])
def test_what_is_no_template_is_a_fault(shop: Path, content: str) -> None:
    draft = draft_of(shop, content)
    assert draft.tree is None or draft.tree.value["service"].value == "shop"
    if content != "Resources: {}":
        assert any(fault.severity == "error" for fault in draft.faults)
    assert [fault for fault in draft_of(shop, HEAD + content).faults if fault.severity == "error"]


def test_plain_cloudformation_needs_no_translator(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "samtranslator.parser.parser", None)
    plain = "Resources: {F: {Type: AWS::Lambda::Function, Properties: {Handler: a.b, Runtime: python3.12, Code: src}}}"
    draft = draft_of(shop, plain)
    assert draft.tree is not None
    assert draft.tree.plain()["functions"]["F"]["root"] == "src"
    with pytest.raises(MillraceError, match=r"pip install 'millrace\[sam\]'"):
        draft_of(shop, HEAD + FUNCTION)


NAMES = ["Type", "Properties", "Events", "Handler", "CodeUri", "Runtime", "Queue", "Stream", "Bucket", "Ref", "Fn::Sub"]
NAMES += [
    "Policies",
    "Layers",
    "Path",
    "Method",
    "Auth",
    "Environment",
    "Variables",
    "Api",
    "Cors",
    "FunctionUrlConfig",
]
NAMES += ["DefinitionBody", "paths", "Statement", "F", "G", "Targets", "Arn", "EventSourceArn", "FunctionName"]
KEYS = st.sampled_from(NAMES)
TYPES = ["Serverless::Function", "Serverless::Api", "Serverless::HttpApi", "Serverless::SimpleTable", "SQS::Queue"]
TYPES += ["Lambda::EventSourceMapping", "Lambda::Function", "S3::Bucket", "Events::Rule", "ApiGateway::RestApi"]
TEXTS = ["SQS", "Api", "S3", "F", "G", "app.f", "python3.12", "arn:aws:sqs:us-east-1:000000000000:q", "/x", "get"]
TEXTS += ["${F.Arn}", "rate(1 minute)", "arn:aws:lambda:us-east-1:000000000000:function:shop-F"]
WORDS = st.sampled_from([*(f"AWS::{each}" for each in TYPES), *TEXTS])
VALUES: Any = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-2, 5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
RESOURCE: Any = st.fixed_dictionaries(
    {"Type": WORDS}, optional={"Properties": st.dictionaries(KEYS, VALUES, max_size=5)}
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({"Resources": st.dictionaries(st.sampled_from("FG"), RESOURCE | VALUES, min_size=1)}))
def test_no_template_raises(shop: Path, template: dict[str, Any]) -> None:

    draft = draft_of(shop, json.dumps({"Transform": "AWS::Serverless-2016-10-31", **template}))
    assert draft.tree is not None or draft.faults
    if draft.tree is not None:
        examine_tree(draft.tree, shop, stage=None, overrides=(), faults=[])


LOOP = """
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters: {Kinds: {Type: CommaDelimitedList, Default: "cat.s,dogs"}}
Resources:
  Fn::ForEach::Queues:
    - Kind
    - !Ref Kinds
    - "&{Kind}Queue": {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Kind}"}}
      "&{Kind}Worker":
        Type: AWS::Serverless::Function
        Properties: {Handler: "${Kind}.run", Runtime: python3.12, CodeUri: .}
"""


def test_a_loop_makes_a_resource_of_each_value(shop: Path) -> None:
    draft = draft_of(shop, LOOP, Kinds="cats,dogs")
    assert draft.tree is not None
    plain = draft.tree.plain()
    assert not draft.faults
    assert set(plain["queues"]) == {"cats", "dogs"}
    assert {name: each["handler"] for name, each in plain["functions"].items()} == {
        "catsWorker": "cats.run",
        "dogsWorker": "dogs.run",
    }
    assert set(draft_of(shop, LOOP).tree.plain()["functions"]) == {"catsWorker", "dogsWorker"}  # type: ignore[union-attr]


def test_loops_within_loops(shop: Path) -> None:
    inner = "'Fn::ForEach::B': [B, [x, y], {'Q${A}${B}': {Type: AWS::SQS::Queue}}]"
    draft = draft_of(shop, "Resources:\n  'Fn::ForEach::A': [A, [1, 2], {" + inner + "}]\n")
    assert draft.tree is not None
    assert set(draft.tree.plain()["queues"]) == {"shop-Q1x", "shop-Q1y", "shop-Q2x", "shop-Q2y"}


@pytest.mark.parametrize("loop", ["[A, [1]]", "x", "[A, [[1]], {a: b}]", "[[A], [1], {a: b}]"])
def test_a_loop_that_is_none_is_told(loop: str, shop: Path) -> None:
    faults = draft_of(shop, f"Resources:\n  'Fn::ForEach::A': {loop}\n  Q: {{Type: AWS::SQS::Queue}}\n").faults
    assert any("Fn::ForEach::A" in str(fault) for fault in faults)


def test_loops_that_grow_without_end_are_told(shop: Path) -> None:
    loop = "{Type: AWS::SQS::Queue}"
    for depth in range(6):
        loop = f"{{'Fn::ForEach::L{depth}': [A{depth}, [1, 2, 3, 4, 5, 6, 7, 8, 9], {{'K${{A{depth}}}': {loop}}}]}}"
    faults = draft_of(shop, f"Resources: {loop}\n").faults
    assert any("the loops make too much" in str(fault) for fault in faults)


PARAMETERS = """
Parameters: {Name: {Type: String}, Size: {Type: Number, Default: 1}, Other: {Type: String, Default: here}}
Resources:
  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Name}-${Other}", VisibilityTimeout: !Ref Size}}
  Unnamed: {Type: AWS::SQS::Queue}
"""


@pytest.mark.parametrize(
    "overrides",
    [
        '\'Name="jobs" Size="30" Gone=1\'',
        '"ParameterKey=Name,ParameterValue=jobs ParameterKey=Size,ParameterValue=30"',
        "['Name=jobs', 'Size=30']",
        "{Name='jobs', Size=30}",
    ],
)
def test_what_sam_deploy_is_told_counts(overrides: str, shop: Path) -> None:
    text = '[default.global.parameters]\nstack_name = "none"\nregion = "eu-west-1"\n'
    text += f'[default.deploy.parameters]\nstack_name = "sales"\nparameter_overrides = {overrides}\n'
    (shop / "samconfig.toml").write_text(text)
    draft = draft_of(shop, PARAMETERS, Other="there")
    assert not draft.faults
    assert draft.tree is not None
    plain = draft.tree.plain()
    assert set(plain["queues"]) == {"jobs-there", "sales-Unnamed"}
    assert plain["queues"]["jobs-there"]["lease"] == 30
    assert plain["aws"]["region"] == "eu-west-1"


def test_the_stage_chooses_what_sam_deploy_is_told(shop: Path) -> None:
    text = "[default.deploy.parameters]\nparameter_overrides = 'Name=a'\n"
    text += "[prod.deploy.parameters]\nparameter_overrides = 'Name=b'\n"
    (shop / "samconfig.toml").write_text(text)
    for stage, name in ((None, "a-here"), ("prod", "b-here"), ("qa", "a-here")):
        tree = draft_of(shop, PARAMETERS, stage).tree
        assert tree is not None
        assert name in tree.plain()["queues"]


@pytest.mark.parametrize(
    "text", ["[", "default = 3", "[default.deploy.parameters]\nparameter_overrides = 'Name=\"a'", "\0"]
)
def test_a_samconfig_that_says_nothing_stops_nothing(text: str, shop: Path) -> None:
    (shop / "samconfig.toml").write_text(text)
    draft = draft_of(shop, PARAMETERS, Name="jobs")
    assert not [fault for fault in draft.faults if fault.severity == "error"]


def test_a_wrong_value_of_samconfig_names_the_file(shop: Path) -> None:
    (shop / "samconfig.toml").write_text("[default.deploy.parameters]\nparameter_overrides = 'Name=a Size=x'\n")
    assert str(draft_of(shop, PARAMETERS).faults[0]).startswith("samconfig.toml: the parameter Size; expected a number")


def test_a_queues_url_where_its_arn_should_be(shop: Path) -> None:
    template = """
        Resources:
          Jobs: {Type: AWS::SQS::Queue}
          F:
            Type: AWS::Serverless::Function
            Properties:
              Handler: app.run
              Runtime: python3.12
              Events: {Q: {Type: SQS, Properties: {Queue: !Ref Jobs}}}
    """
    assert any(
        "its ARN, as !GetAtt Jobs.Arn gives it: !Ref gives a queue's URL" in each for each in told(shop, template)
    )
