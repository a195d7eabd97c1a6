"""`init`, `check` and `schema`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from millrace import cli
from millrace.cli.init import TEMPLATES, TEMPLATES_FOLDER
from millrace.config.jsonschema import project_schema
from millrace.config.load import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLRACE_PROJECT", raising=False)
    return tmp_path


def write(folder: Path, text: str, app: str | None = None) -> None:
    (folder / "millrace.yml").write_text(text)
    if app is not None:
        (folder / "app.py").write_text(app)


@pytest.mark.parametrize("template", TEMPLATES)
def test_init_makes_a_sound_project(folder: Path, template: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["init", template, "My pets!"]) == 0
    told = capsys.readouterr().out
    assert "cd My pets!" in told
    assert "millrace up" in told
    made = folder / "My pets!"
    assert load(made).service == "My-pets"
    assert {"README.md", "millrace.yml", ".gitignore"} <= {path.name for path in made.iterdir()}
    assert list(made.glob("test_*.py"))
    assert not (made / "gitignore").exists()
    assert cli.run(["check", "--project", "My pets!"]) == 0


def test_every_template_is_told_and_there() -> None:
    assert {path.name for path in TEMPLATES_FOLDER.iterdir() if path.is_dir()} == set(TEMPLATES)


def test_init_without_a_template_is_hello(folder: Path) -> None:
    assert cli.run(["init", "my-app"]) == 0
    assert "app.Greeter" in (folder / "my-app" / "millrace.yml").read_text()


@pytest.mark.parametrize(("name", "service"), [("2025", "2025"), ("---", "my-app"), ("a.b", "a-b")])
def test_the_service_is_named_after_the_folder(folder: Path, name: str, service: str) -> None:
    assert cli.run(["init", "--", "hello", name]) == 0
    assert load(folder / name).service == service


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["helo", "x"], "no template 'helo'; did you mean 'hello'?\n  there is: hello, image-classifier"),
        (["zzz", "x"], "no template 'zzz'\n"),
        (["image-classifier"], "where should the image-classifier project go?"),
        (["hello", "full"], "full is there and not empty\n  name a new folder; nothing was written"),
        (["hello", "full/file"], "full/file is there and not empty"),
        (["hello", "full/file/below"], "cannot write full/file/below: "),
    ],
)
def test_what_init_refuses(folder: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "file").write_text("mine")
    assert cli.run(["init", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert [str(path.relative_to(folder)) for path in folder.rglob("*")] == ["full", "full/file"]


SOUND = "service: pets\nfunctions:\n  f: {model: app.Model, events: [{http: POST /f}]}\n"
APP = "class Model:\n    def predict(self, inputs): return inputs\n"


def test_check_of_a_sound_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, SOUND + "queues: {a: {}, b: {}}\nstages: {prod: {}}\n", APP)
    assert cli.run(["check"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "pets is sound: 1 function, 2 queues; stages prod\n"


def test_check_tells_faults_of_the_file_of_the_code_and_of_the_stages(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        SOUND
        + "  g: {handler: app.nope}\nsevrice: 1\nstages: {prod: {functions: {f: {model: gone.Model, replica: 2}}}}\n"
    )
    write(folder, text, APP)
    assert cli.run(["check"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "4 faults\n"
    lines = captured.out.splitlines()
    assert lines[0].startswith(
        "millrace.yml:4:16: functions.g.handler: cannot find app.nope: app has no nope; app has Model"
    )
    assert lines[1] == "millrace.yml:5:1: unknown key 'sevrice'; did you mean 'service'?"
    assert lines[2].startswith("millrace.yml:6:40: functions.f.model: cannot import gone.Model: no module gone")
    assert lines[3] == "millrace.yml:6:52: functions.f: unknown key 'replica'; did you mean 'replicas'?"


def test_check_tells_a_path_that_leads_nowhere_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "", APP)
    (folder / "millrace.yml").unlink()
    (folder / "zappa_settings.json").write_text(
        '{"dev": {"events": [{"function": "ap.f", "expression": "rate(1 day)"}]}}'
    )
    assert cli.run(["check"]) == 2
    captured = capsys.readouterr()
    assert captured.out.count("no module ap in") == 1
    assert "events[0].function leads nowhere: there is no module ap" in captured.out
    assert captured.err.startswith("1 fault")


def test_check_imports_functions_side_by_side(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    os.mkfifo(folder / "meeting")
    for name, mode in (("first", "w"), ("second", "r")):  # each opens it when the other does
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'meeting')!r}, '{mode}').close()\ndef handler(event, context): ...\n"
        )
    write(folder, "service: pets\nfunctions: {a: {handler: first.handler}, b: {handler: second.handler}}\n")
    assert cli.run(["check", "--code-timeout", "20"]) == 0, capsys.readouterr().out


def test_check_tells_of_code_whose_folder_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "service: pets\nfunctions: {f: {model: app.Model, root: src, events: [{http: POST /f}]}}\n", APP)
    assert cli.run(["check"]) == 2
    told = "millrace.yml:2:41: functions.f.root: there is no folder src; expected the folder of the function's code\n"
    assert capsys.readouterr().out == told


def test_check_of_functions_that_name_no_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "service: pets\nfunctions: {f: {events: [{http: GET /f}]}}\n")
    assert cli.run(["check"]) == 2
    assert capsys.readouterr().out == (
        "millrace.yml:2:13: functions.f; expected exactly one of model, handler, wsgi, got neither\n"
    )


def test_check_of_what_is_no_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "")
    assert cli.run(["check"]) == 2
    assert "the file is empty" in capsys.readouterr().out


def test_check_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "service: pets\ndrain: soon\n")
    assert cli.run(["check", "--json", "--set", "functions.f.model=app.Model"]) == 2
    missing, fault = json.loads(capsys.readouterr().out)
    assert (missing["file"], missing["line"]) == ("--set functions.f.model", None)
    assert missing["what"].startswith("functions.f.model: cannot import app.Model")
    assert (fault["file"], fault["line"], fault["column"]) == ("millrace.yml", 2, 8)


def test_check_of_one_stage_and_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        folder, "service: pets\nfunctions: {f: {model: app.Model}}\nstages: {prod: {drain: 1s}, bad: {drain: x}}\n", APP
    )
    assert cli.run(["check", "--stage", "prod"]) == 0
    captured = capsys.readouterr()
    assert "millrace.yml:2:13: warning: functions.f has no events" in captured.out
    assert captured.err == "pets is sound: 1 function; stages prod, bad; 1 warning\n"


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("import nope_nope\n", "ModuleNotFoundError: No module named 'nope_nope' (File "),
        ("class Model: pass\n", "app.Model has no predict method"),
        ("Model = 3\n", "app.Model is a int; expected a class with a predict method"),
        ("print('noise')\nraise SystemExit(3)\n", "SystemExit: 3"),
        ("import os, sys\nsys.stderr.write('last words'); sys.stderr.flush(); os._exit(9)\n",
         "importing app.Model ended its process (exit code 9) | last words"),
    ],
)  # fmt: skip
def test_code_that_is_not_there(folder: Path, app: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, SOUND, app)
    assert cli.run(["check"]) == 2
    assert told in capsys.readouterr().out
    assert cli.run(["check", "--no-code"]) == 0


def test_code_that_takes_too_long(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, SOUND, "import threading\nthreading.Event().wait()\n")
    assert cli.run(["check", "--code-timeout", "0.2"]) == 2
    assert "importing app.Model took longer than 0.2s; move slow work into load()" in capsys.readouterr().out


def test_handlers_may_not_be_async_and_see_their_environment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        folder,
        "service: x\nfunctions:\n  f: {handler: src/app.f, events: [{http: GET /f}], environment: {SET: yes}}\n",
    )
    (folder / "src").mkdir()
    (folder / "src" / "app.py").write_text("import os\nos.environ['SET']\ndef f(event, context): ...\n")
    assert cli.run(["check"]) == 0
    (folder / "src" / "app.py").write_text("async def f(event, context): ...\n")
    assert cli.run(["check"]) == 2
    assert "src/app.f is async" in capsys.readouterr().out


def test_the_schema_is_one_and_holds_every_shipped_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == project_schema()
    Draft202012Validator.check_schema(schema)
    files = [*TEMPLATES_FOLDER.glob("*/millrace.yml"), *ROOT.glob("examples/*/millrace.yml")]
    assert len(files) > len(TEMPLATES)
    for file in files:
        Draft202012Validator(schema).validate(YAML(typ="safe", pure=True).load(file))


GOOD = """
service: pets
queues: {images: {lease: 30s, ttl: 10m}, labels: }
tables: {rows: }
functions:
  f:
    model: app.Model
    replicas: ${env:COPIES, 2}
    memory: 1GB
    events: [{queue: images}, {http: POST /x}, {http: {method: get, path: /x, payload: v1}}, {schedule: rate(1 day)}]
    to: [{table: rows}, {bucket: "lake/{id}"}]
stages: {prod: {functions: {f: {replicas: 8}}}}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("service: pets", "service: 3"),
        ("service: pets", "sevrice: pets"),
        ("lease: 30s", "lease: 30 parsecs"),
        ("replicas: ${env:COPIES, 2}", "replicas: two"),
        ("{http: POST /x}", "{http: PSOT /x}"),
        ("{queue: images}", "{quue: images}"),
        ("{queue: images}", "{queue: images, http: GET /}"),
        ("{table: rows}", "{table: rows, queue: labels}"),
        ("model: app.Model", "description: none"),
        ("{prod: {", "{prod: {functoins: {}, "),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(folder: Path, old: str, new: str) -> None:
    validator = Draft202012Validator(project_schema())
    reader = YAML(typ="safe", pure=True)
    assert validator.is_valid(reader.load(GOOD))
    assert old in GOOD
    assert not validator.is_valid(reader.load(GOOD.replace(old, new, 1)))
