"""`convert`: what it writes loads as the same project, says no secret, and overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import cli
from millrace.config.faults import Fault, Place
from millrace.config.load import Examination, examine, examine_tree, load
from millrace.config.reading import escaped, read_text, refers
from millrace.config.tree import Node
from millrace.formats.convert import Converted, convert
from millrace.formats.nodes import node

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = [path for folder in ("examples", "millrace/templates") for path in (ROOT / folder).rglob("millrace.yml")]
HERE = Node(None, Place("serverless.yml", 3, 1), Place("serverless.yml", 3, 1))

WHOLE: dict[str, Any] = {
    "functions": {
        "web": {"wsgi": "app.app", "events": [{"http": {"method": "ANY", "path": "/{p+}", "cors": True, "key": True}}]},
        "f": {
            "name": "pets-dev-f",
            "events": [
                {"queue": "q.fifo", "batch": {"size": 10}, "filter": [{"body": {"a": [1, None, {"prefix": "x"}]}}]},
                {"schedule": "rate(1 day)", "input": {"no": "yes", "n": "1", "t": "true"}},
                {"table": "t", "on_failure": {"queue": "q.fifo"}, "tries": 0},
                {"http": "POST /a"},
                {"topic": "news", "filter": {"a": ["b"]}},
                {"bus": "default", "pattern": {"source": ["x"]}},
            ],
            "handler": "app.f",
            "asynchronous": {},
            "timeout": 6,
            "environment": {"A": "1", "B": 2, "C": True, "D": ""},
        },
    },
    "gateway": {"api_keys": {"one": None, "two": "value"}},
    "aws": {"resources": {"Rows": {"Type": "AWS::DynamoDB::Table", "Properties": {"Size": 5, "On": "yes"}}}},
    "queues": {"q.fifo": {"fifo": True, "max_receives": "unlimited"}, "plain": None},
    "tables": {"t": {}},
    "topics": {"news": {"queues": [{"queue": "q.fifo"}]}},
    "service": "pets",
    "stage": "prod",
}


def examined(plain: Any) -> Examination:
    tree = plain if isinstance(plain, Node) else node(plain, HERE)
    return examine_tree(tree, ROOT, stage=None, overrides=(), faults=[])


def again(converted: Converted) -> Examination:
    faults: list[Fault] = []
    root = read_text(converted.text, "millrace.yml", faults, environment=converted.secrets)
    assert faults == []
    assert root is not None
    return examine_tree(root, ROOT, stage=None, overrides=(), faults=[])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name)
def test_what_is_written_loads_as_the_same_project(path: Path) -> None:
    found = examine(path)
    assert found.project is not None
    converted = convert(found)
    root = read_text(converted.text, "millrace.yml", [])
    assert root is not None
    loaded = examine_tree(root, path.parent, stage=None, overrides=(), faults=[]).project
    assert loaded == found.project.model_copy(update={"stages": {}})


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 4


def test_the_order_is_the_schemas_and_what_says_nothing_is_left_out() -> None:
    found = examined(WHOLE)
    assert found.faults == []
    converted = convert(found)
    assert again(converted).project == found.project
    lines = converted.text.split("\n")
    top = [line.partition(":")[0] for line in lines if line and line[0] not in " #"]
    assert top == ["service", "stage", "gateway", "queues", "tables", "topics", "aws", "functions"]
    function = converted.text.partition("  f:\n")[2]
    assert function.index("handler:") < function.index("name:") < function.index("events:") < function.index("timeout:")
    assert "  # serverless.yml:3\n  f:\n" in converted.text
    assert lines[0].startswith("# Made by `millrace convert` from ")
    assert "- http: POST /a" in converted.text
    assert "size: 10" in converted.text
    assert "lease" not in converted.text


ODD = ["yes", "1", "1_000", "0x1f", "1e3", "~", "null", "a: b", "- a", "#", "${env:HOME}", "$${x:y}", "a\n", "\n a"]
ODD += ["2001-01-01", "=", "<<", "!x", "*a", " ", "a\n\n", " a\n b", "\n", "'", '"', "? a", "a #b", "|", "%"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(VALUES, st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,5}", fullmatch=True), TEXTS, max_size=3))
def test_any_value_comes_back(value: Any, environment: dict[str, str]) -> None:
    function = {"handler": "app.f", "events": [{"schedule": "rate(1 day)", "input": value}]}
    plain = {"service": "pets", "environment": environment, "functions": {"f": function}}
    found = examined(plain)
    assert found.project is not None
    assert again(convert(found)).project == found.project


@given(st.text(st.characters(max_codepoint=0xD7FF), max_size=12) | st.text("${}:env x", max_size=12))
def test_an_escaped_text_is_read_as_itself(text: str) -> None:
    faults: list[Fault] = []
    found = read_text(json.dumps(escaped(text)), "x", faults, environment={})
    assert found is not None
    assert (found.value, found.written, faults) == (text, None, [])
    assert not refers(escaped(text))


def written(value: Any, text: str) -> Node:
    return Node(value, HERE.place, HERE.key_place, written=text)


def with_environment(**variables: Node) -> Examination:
    tree = node({"service": "pets", "functions": {"f": {"handler": "app.f", "environment": dict(variables)}}}, HERE)
    return examined(tree)


def test_references_stay_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hush")
    monkeypatch.setenv("COUNT", "4")
    found = with_environment(A=written("hush", "${env:TOKEN}"), B=written("x hush", "x ${env:TOKEN, no}"))
    converted = convert(found)
    assert "A: '${env:TOKEN}'" in converted.text
    assert "B: 'x ${env:TOKEN, no}'" in converted.text
    assert "hush" not in converted.text
    assert converted.secrets == {}
    tree = node({"service": "pets", "functions": {"f": {"handler": "app.f"}}}, HERE)
    tree.value["functions"].value["f"].value["replicas"] = written(4, "${env:COUNT}")
    assert "replicas: ${env:COUNT}" in convert(examined(tree)).text


def test_a_secret_that_is_no_reference_becomes_one() -> None:
    found = with_environment(
        DB_PASSWORD=written("hush", "***"),
        MIXED=written("a hush", "a ${ssm:/db/password}"),
        GONE=written("other", "${env:NOT_SET_HERE}"),
    )
    converted = convert(found)
    assert converted.secrets == {"DB_PASSWORD": "hush", "MIXED": "a hush", "NOT_SET_HERE": "other"}
    assert "hush" not in converted.text
    assert "DB_PASSWORD: '${env:DB_PASSWORD}'" in converted.text
    assert "# Set before you start it: DB_PASSWORD, MIXED, NOT_SET_HERE." in converted.text
    assert again(converted).project == found.project


def test_a_variable_of_a_dotenv_file_keeps_its_name(tmp_path: Path) -> None:
    from millrace.formats.load import examine as examine_any

    (tmp_path / ".env").write_text("TOKEN=hush\n")
    text = "service: a\nuseDotenv: true\nprovider: {name: aws}\nfunctions:\n  f:\n    handler: app.f\n"
    variables = "{KEY: '${env:TOKEN}', OTHER: \"${env:TOKEN, 'none'}\", KEYS: '${env:TOKEN}s'}"
    (tmp_path / "serverless.yml").write_text(f"{text}    environment: {variables}\n")
    converted = convert(examine_any(tmp_path))
    assert converted.secrets == {"TOKEN": "hush", "KEYS": "hushs"}
    assert "KEY: '${env:TOKEN}'" in converted.text
    assert "OTHER: '${env:TOKEN}'" in converted.text


def test_two_secrets_under_one_name_and_a_secret_in_parts() -> None:
    functions: dict[str, Any] = {
        name: {"handler": "app.f", "environment": {"KEY": written(name, "***")}} for name in ("f", "g")
    }
    tree = node({"service": "pets", "functions": functions}, HERE)
    tree.value["aws"] = node({"resources": {"R": {}}}, HERE)
    tree.value["aws"].value["resources"].value["R"] = Node(
        {"a": node("deep", HERE), "b": node([7, True], HERE)}, HERE.place, HERE.key_place, written="***"
    )
    found = examined(tree)
    converted = convert(found)
    assert converted.secrets == {"KEY": "f", "ENVIRONMENT_KEY": "g", "A": "deep", "B": "7", "R_B": "true"}
    assert again(converted).project == found.project


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLRACE_PROJECT", raising=False)
    (tmp_path / "app.py").write_text("def app(a, b): ...\n")
    settings = {"app_function": "app.app", "environment_variables": {"SECRET": "x"}}
    (tmp_path / "zappa_settings.json").write_text(json.dumps({"dev": settings, "prod": {"extends": "dev"}}))
    return tmp_path


def test_the_command_writes_a_project_that_is_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from millrace.formats.load import load as load_any

    before = load_any(folder, stage="prod")
    assert cli.run(["convert", "--stage", "prod"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "wrote millrace.yml from zappa_settings.json, stage prod" in told.err.replace(f"{folder}/", "")
    assert "1 warning about zappa_settings.json" in told.err
    assert "is this folder's project from now on" in told.err
    assert load_any(folder) == load(folder / "millrace.yml") == before


def test_nothing_is_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.yml").write_text("mine")
    assert cli.run(["convert", "-o", "mine.yml"]) == 2
    assert "mine.yml is there already" in capsys.readouterr().err
    assert (folder / "mine.yml").read_text() == "mine"
    assert cli.run(["convert", "-o", "mine.yml", "--force"]) == 0
    assert "wsgi: app.app" in (folder / "mine.yml").read_text()


def test_elsewhere_and_nowhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other").mkdir()
    assert cli.run(["convert", "-o", "other/millrace.yml"]) == 0
    assert "relative to the folder that it came from" in capsys.readouterr().err
    assert cli.run(["convert", "-o", "-"]) == 0
    assert "wsgi: app.app" in capsys.readouterr().out
    assert cli.run(["convert", "-o", "nowhere/millrace.yml"]) == 2
    assert "cannot write nowhere/millrace.yml" in capsys.readouterr().err
    assert not (folder / "millrace.yml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--strict"], "SECRET is set for the application alone"),
        (["--stage", "prd"], "did you mean 'prod'?"),
        (["--project", "other.yml"], "other.yml is a millrace.yml already"),
    ],
)
def test_what_convert_refuses(
    folder: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "other.yml").write_text("service: pets\nfunctions: {}\n")
    assert cli.run(["convert", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not (folder / "millrace.yml").exists()


SERVERLESS = """
service: pets
provider:
  name: aws
  runtime: python3.11
  environment: {TOKEN: "${env:PETS_TOKEN}", COLOUR: red}
  apiGateway:
    apiKeys: [one]
functions:
  f:
    handler: app.app
    events:
      - http: {path: "a/{proxy+}", method: any, cors: true, private: true}
      - schedule: rate(1 day)
      - sqs: {arn: {Fn::GetAtt: [Mail, Arn]}, batchSize: 5}
resources:
  Resources:
    Mail:
      Type: AWS::SQS::Queue
      Properties: {QueueName: mail, VisibilityTimeout: 60}
"""
CLOUDFORMATION = """
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Password: {Type: String, NoEcho: true, Default: hush}
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties:
      Handler: app.app
      Runtime: python3.11
      Role: arn:aws:iam::123456789012:role/r
      Code: {ZipFile: "x"}
      Environment: {Variables: {PASSWORD: !Ref Password}}
  Mail: {Type: AWS::SQS::Queue}
  Source:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !Ref F, EventSourceArn: !GetAtt Mail.Arn, BatchSize: 10}
"""


@pytest.mark.parametrize(("name", "text"), [("serverless.yml", SERVERLESS), ("template.yaml", CLOUDFORMATION)])
def test_other_tools_files_convert_to_the_same_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    from millrace.formats.load import load as load_any

    monkeypatch.setenv("PETS_TOKEN", "hush")
    (folder / "zappa_settings.json").unlink()
    (folder / name).write_text(text)
    before = load_any(folder)
    assert cli.run(["convert"]) == 0
    written = (folder / "millrace.yml").read_text()
    assert "hush" not in written
    monkeypatch.setenv("PASSWORD", "hush")
    assert load(folder / "millrace.yml") == before
