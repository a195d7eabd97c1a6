"""Which file is a folder's project, which reader reads it, and what a Draft becomes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from millrace import cli
from millrace.config.faults import Fault, Place
from millrace.config.reading import read_text
from millrace.errors import ConfigError
from millrace.formats import load as formats
from millrace.formats.load import examine, find, format_of, load, locate
from millrace.formats.reader import Draft, Request

SMALL = "service: pets\nfunctions:\n  f:\n    model: app.Model\n    events: [{http: POST /f}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLRACE_PROJECT", raising=False)
    return tmp_path


@pytest.fixture
def asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """A reader of serverless.yml that gives a small project with a doubt, and keeps what it was asked."""
    requests: list[Request] = []

    def read(request: Request) -> Draft:
        requests.append(request)
        faults = [Fault(Place("serverless.yml", 3, 1), "plugins does nothing here", severity="warning")]
        text = SMALL + f"stage: {request.stage or 'dev'}\n" + request.parameters.get("more", "")
        return Draft(read_text(text, "serverless.yml", faults), faults, understood=7, keys=9, stages=["dev", "prod"])

    module = ModuleType("a_reader")
    module.read = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_reader", module)
    monkeypatch.setitem(formats.READERS, "serverless", "a_reader:read")
    (folder / "serverless.yml").write_text("service: pets\n")
    return requests


def test_the_order_in_a_folder(folder: Path) -> None:
    names = list(formats.FORMATS)
    for name in reversed(names):
        (folder / name).write_text("")
        assert find(folder).name == name
    assert names[:2] == ["millrace.yml", "millrace.yaml"]
    assert names.index("serverless.json") < names.index("template.yaml") < names.index("zappa_settings.json")


def test_the_nearest_folder_comes_before_the_order(folder: Path) -> None:
    (folder / "millrace.yml").write_text(SMALL)
    below = folder / "api"
    below.mkdir()
    assert find(below) == folder / "millrace.yml"
    (below / "zappa_settings.json").write_text("{}")
    assert find(below) == below / "zappa_settings.json"


def test_no_project_says_what_was_looked_for(folder: Path) -> None:
    for search in (lambda: find(folder), lambda: locate(folder), lambda: load(folder)):
        with pytest.raises(ConfigError) as caught:
            search()
        assert caught.value.problem.startswith(f"no project file in {folder}")
        for name in ("millrace.yml", "serverless.yml", "template.yaml", "zappa_settings.json", "--project"):
            assert name in caught.value.hint or name == "--project"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("serverless.yml", "", "serverless"),
        ("Template.YAML", "", "sam"),
        ("prod.yml", "service: a\nprovider:\n  name: aws\nresources:\n  Resources: {}\n", "serverless"),
        ("sls.json", '{\n  "service": "a",\n  "provider": {"name": "aws"}}', "serverless"),
        ("stack.yaml", "Parameters: {}\nResources:\n  Q: {}\n", "sam"),
        ("stack.template", '{"Resources": {}}', "sam"),
        ("settings.toml", '[dev]\napp_function = "app.app"\n', "zappa"),
        ("mine.yml", SMALL, "millrace"),
        ("mine.yml", "functions: {}\n", "millrace"),
    ],
)
def test_a_file_is_known_by_its_name_or_by_what_stands_in_it(folder: Path, name: str, text: str, kind: str) -> None:
    (folder / name).write_text(text)
    assert format_of(folder / name) == kind


@pytest.mark.parametrize(("name", "text"), [("notes.txt", SMALL), ("values.yaml", "image: nginx\n")])
def test_a_file_that_is_no_project(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(Path(name))
    assert caught.value.problem == f"{name} is no project file that millrace knows"
    assert "serverless.yml" in caught.value.hint


def test_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load(folder / "other.yml")


def test_a_reader_is_told_everything_and_its_warnings_are_kept(asked: list[Request]) -> None:
    found = examine(stage="prod", overrides=["functions.f.replicas=3"], parameters={"more": "drain: 5s\n"})
    assert found.project is not None
    assert (found.project.stage, found.project.drain, found.project.functions["f"].replicas) == ("prod", 5.0, 3)
    assert found.project.root == Path.cwd().resolve()
    assert [str(each) for each in found.warnings] == ["serverless.yml:3:1: warning: plugins does nothing here"]
    assert (found.file, found.understood, found.keys, found.stages) == ("serverless.yml", 7, 9, ["dev", "prod"])
    assert asked[0].file.name == "serverless.yml"


def test_strict_makes_warnings_errors(asked: list[Request]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(strict=True)
    assert caught.value.hint == "serverless.yml:3:1: plugins does nothing here"


def test_strict_holds_for_millrace_yml_too(folder: Path) -> None:
    (folder / "millrace.yml").write_text("service: pets\nfunctions:\n  f:\n    model: app.Model\n")
    assert load().service == "pets"
    with pytest.raises(ConfigError, match="has no events"):
        load(strict=True)


def test_faults_of_the_words_themselves_stand_at_the_foreign_line(asked: list[Request]) -> None:
    found = examine(parameters={"more": "quueues: {}\n"})
    assert found.project is None
    (fault,) = found.faults
    assert fault.place == Place("serverless.yml", 7, 1)
    assert len(found.warnings) == 1


def test_check_tells_how_much_runs_here(asked: list[Request], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--no-code"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "serverless.yml:3:1: warning: plugins does nothing here\n"
    assert "7 of 9 keys of serverless.yml do here what they do there" in printed.err
    assert [request.stage for request in asked] == [None, "dev", "prod"]
    assert cli.run(["check", "--no-code", "--strict", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)[0]["severity"] == "error"


def test_parameters_on_the_command_line(
    asked: list[Request], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", "--no-code", "--stage", "dev", "--parameter", "A=1", "--parameter", "B=x=y"]) == 0
    assert dict(asked[-1].parameters) == {"A": "1", "B": "x=y"}
    monkeypatch.setenv("MILLRACE_PARAMETER", "A=2 C=3")
    assert cli.run(["logs"]) in (0, 1)
    assert dict(asked[-1].parameters) == {"A": "2", "C": "3"}
    capsys.readouterr()
    assert cli.run(["check", "--parameter", "novalue"]) == 2
    assert "--parameter novalue is no parameter" in capsys.readouterr().err


def test_queue_urls_follow_the_port_that_overrides_the_endpoint_s(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def f(event, context): ...\n")
    (tmp_path / "serverless.yml").write_text(
        "service: a\nprovider: {name: aws, runtime: python3.12, environment: {URL: !Ref Q}}\n"
        "functions: {f: {handler: app.f}}\nresources: {Resources: {Q: {Type: 'AWS::SQS::Queue'}}}\n"
    )
    project = load(tmp_path, overrides=["aws.port=9000", "aws.port=9001"])
    assert project.aws is not None
    assert project.aws.port == 9001
    assert project.environment == {"URL": "http://127.0.0.1:9001/000000000000/a-dev-Q"}
