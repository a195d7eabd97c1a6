from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import millrace
from millrace import cli
from millrace.cli import output
from millrace.cli.registry import COMMANDS, Command
from millrace.cli.send import read_body
from millrace.errors import ConfigError, MillraceError


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_names_every_command_under_its_heading(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(arguments)
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert all(f"\n{each.heading}:\n" in text for each in COMMANDS.values())
    assert max(len(line) for line in text.splitlines()) <= 80


def test_help_imports_no_command() -> None:
    script = (
        "import sys; from millrace import cli; cli.run(['--help'])\n"
        "slow = {'pydantic', 'ruamel', 'rich', 'starlette', 'obstore', 'msgspec', 'asyncio'}\n"
        "assert not slow & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_importing_millrace_imports_nothing_slow() -> None:
    script = "import sys; import millrace; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert {name for name in done.stdout.split() if name.startswith("millrace")} == {"millrace"}
    assert not {"msgspec", "asyncio", "httpx", "pydantic", "importlib.metadata"} & set(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "--help"]) == 0
    assert f"Usage: millrace {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"millrace {millrace.__version__}\n"


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["chek"]) == 2
    assert "No such command 'chek'. Did you mean 'check'?" in capsys.readouterr().err
    assert cli.run(["zzzz"]) == 2
    assert "No such command 'zzzz'." in capsys.readouterr().err


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """A command `boom` that raises what is put under `error`."""
    what: dict[str, BaseException] = {}

    def boom() -> None:
        raise what["error"]

    monkeypatch.setitem(COMMANDS, "boom", Command("output:boom", "Raise.", "Project"))
    monkeypatch.setattr(output, "boom", boom, raising=False)
    return what


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MillraceError("no luck", "try again\nor not"), 1, "millrace: no luck\n  try again\n  or not\n"),
        (ConfigError("bad file"), 2, "millrace: bad file\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(7), 7, ""),
        (SystemExit("text"), 1, ""),
        (SystemExit(None), 0, ""),
        (typer.Exit(4), 4, ""),
    ],
)
def test_exit_codes(
    raising: dict[str, BaseException],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    text: str,
) -> None:
    raising["error"] = error
    assert cli.run(["boom"]) == code
    assert capsys.readouterr().err == text


def test_a_reader_that_went_away_is_no_traceback() -> None:
    script = "from millrace import cli; import sys; sys.exit(cli.run(['schema']))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["send", "images", "\udcff"], "BODY': '\\udcff' is not UTF-8"),
        (["send", "images", "x", "--attr", "a=b", "--attr", "a=\udcff"], "'--attr': 'a=\\udcff' is not UTF-8"),
        (["table", "get", "labels", "\udcff"], "'KEY': '\\udcff' is not UTF-8"),
        (["feed", "\udcff", "a.csv"], "'QUEUE': '\\udcff' is not UTF-8"),
        (["event", "sqs", "--body", "\udcff"], "'--body' / '-b': '\\udcff' is not UTF-8"),
        (["check", "--stage", "\udcff"], "'\\udcff' is not UTF-8"),
    ],
)
def test_an_argument_that_is_no_text_is_refused(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    assert what in capsys.readouterr().err


def test_a_variable_that_is_no_text_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILLRACE_BROKER", "redis://\udcff")
    assert cli.run(["queues"]) == 2
    assert "env var: 'MILLRACE_BROKER'): 'redis://\\udcff' is not UTF-8" in capsys.readouterr().err


def test_a_path_may_be_any_bytes(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    assert cli.run(["init", "hello", str(folder)]) == 0
    assert cli.run(["check", "--project", str(folder)]) == 0


def test_a_file_whose_name_is_no_text_can_be_sent(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"\xff.txt")
    file.write_bytes(b"\xff")
    assert read_body(None, file, 10) == (b"\xff", {"content-type": "text/plain", "filename": "\ufffd.txt"})


def test_a_name_that_is_no_text_can_be_printed() -> None:
    script = "from millrace import cli; import sys; sys.argv[1:] = ['--version']\n"
    script += "cli.run = lambda arguments: print('caf\\u00e9 \\udcff')\ncli.main()"
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=strict, timeout=60)
    assert done.stdout.decode() == "café \\udcff\n"


def test_main_leaves_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["millrace", "--version"])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert leaving.value.code == 0


def test_ctrl_c_before_the_command_began(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build", interrupted)
    assert cli.run(["up"]) == 130


def test_commands_are_listed_in_the_registrys_order() -> None:
    assert cli.build().list_commands(None) == list(COMMANDS)


def test_python_m_millrace() -> None:
    done = subprocess.run([sys.executable, "-m", "millrace", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"millrace {millrace.__version__}\n")


def test_completion_knows_the_commands() -> None:
    environment = {**os.environ, "_MILLRACE_COMPLETE": "complete_bash", "COMP_WORDS": "millrace pe", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "millrace"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["peek"]


def test_the_promised_names() -> None:
    assert set(millrace.__all__) <= set(dir(millrace))
    for name in millrace.__all__:
        assert getattr(millrace, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        _ = millrace.Nope


ROWS = [
    {"queue": "images", "depth": 12345, "age_s": 1.25, "fifo": True, "note": None, "hidden": 1},
    {"queue": "x" * 90, "depth": 0, "age_s": None, "fifo": False, "note": "[bold]plain[/bold]", "hidden": 2},
]
COLUMNS = ["queue", "depth", "age_s", "fifo", "note"]


def test_tables_fit_eighty_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output.print_table(ROWS, COLUMNS)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "age s" in lines[0]
    assert "12,345" in lines[2]
    assert "1.25" in lines[2]
    assert "yes" in lines[2]
    assert "".join(lines).count("x") == 90
    assert "[bold]plain[/bold]" in lines[3]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9831, "0.9831"),
        (2.0, "2"),
        (123456.78, "123,456.8"),
        (1e-9, "1e-09"),
        (-0.5, "-0.5"),
        (True, "yes"),
        ("a", "a"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert output.cell(value) == text


def test_json_has_the_columns_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(ROWS, COLUMNS, json=True)
    expected: list[dict[str, Any]] = [{key: row[key] for key in COLUMNS} for row in ROWS]
    assert json.loads(capsys.readouterr().out) == expected


def test_headings(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table([{"a": 1}], {"a": "First"})
    assert "First" in capsys.readouterr().out


def test_fail_reports_and_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as leaving:
        output.fail(MillraceError("no luck", "try again"), 3)
    assert leaving.value.exit_code == 3
    assert capsys.readouterr().err == "millrace: no luck\n  try again\n"


def test_json_is_indented_for_people_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json([{"a": "ä", "at": Path("x")}])
    assert capsys.readouterr().out == '[{"a": "ä", "at": "x"}]\n'
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_json([1])
    assert terminal.getvalue() == "[\n  1\n]\n"


def test_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    output.note("for you")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "for you\n")
