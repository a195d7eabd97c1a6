"""Parts of commands that real processes cannot be asked about: what is shown, and how the long ones end."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from millrace.cli import output, run, shown
from millrace.cli import queues as queues_module
from millrace.cli.export import export
from millrace.cli.send import guess_type
from millrace.config.names import unknown
from millrace.errors import MillraceError
from millrace.store import Table
from millrace.stores.memory import MemoryTables
from millrace.types import Failure, Row
from millrace.wire import Line

PROJECT = """
service: pets
queues:
  images: {}
  narrow: {max_depth: 1}
tables:
  rows: {}
functions:
  classify:
    model: app.Classifier
    events:
      - queue: images
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text("class Classifier:\n    def predict(self, inputs):\n        return inputs\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0s"), (9.96, "10.0s"), (59.9, "59s"), (192, "3m 12s"), (3600, "1h 0m"), (90_000, "1d 1h")],
)
def test_ages(seconds: float, text: str) -> None:
    assert shown.age(seconds) == text


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert shown.printable("a\x1b[2J\n\tb\x07") == "a\ufffd[2J\n\tb\ufffd"
    assert shown.shorten("a\nb\x1bc", 10) == "a b c"
    assert shown.preview(b"\xff" * 1234, 10) == "1,234 bytes"
    assert shown.preview(b"abcdef", 4) == "abc…"


def test_what_functions_print_keeps_its_colours_alone() -> None:
    assert shown.coloured("\tplain") == "\tplain"
    assert shown.coloured("\x1b[1;31mred\x1b[0m\x1b[2J\x07") == "\x1b[1;31mred\x1b[0m\ufffd[2J\ufffd\x1b[0m"
    assert shown.coloured("\x1b]0;title\x07 \x9b2J") == "\ufffd]0;title\ufffd \ufffd2J"


@pytest.mark.parametrize("err", [False, True])
def test_a_terminal_gets_nothing_to_obey(
    err: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = sys.stderr if err else sys.stdout
    output.echo("piped\x07", err=err)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    output.echo("\x1b[31mred\x07", err=err)
    captured = capsys.readouterr()
    assert (captured.err if err else captured.out) == "piped\x07\n\x1b[31mred\ufffd\x1b[0m\n"


def test_moments_that_never_were() -> None:
    assert (shown.ago(0.0), shown.moment(0.0)) == ("", "")


def test_an_error_without_a_text() -> None:
    assert shown.failure_line(Failure("builtins.KeyError", "")) == "KeyError"


class Growing(Table):
    """A table that has other rows at its second reading."""

    name, key = "rows", "id"

    def __init__(self, first: bytes, second: bytes) -> None:
        self._readings = [first, second]

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> list[Row]:
        return [] if after else [Row("rows", "a", self._readings.pop(0))]

    async def put(self, rows: Sequence[Row]) -> None: ...
    async def get(self, key: str) -> bytes | None: ...
    async def delete(self, keys: Sequence[str]) -> int:
        return 0

    async def changes(self, *, after: int, limit: int = 1000, wait_s: float = 0.0) -> list[Any]:
        return []


@pytest.mark.parametrize(
    ("format", "second"),
    [("csv", b'{"id":"a","new":1}'), ("parquet", b'{"id":"a","new":1}'), ("parquet", b'{"id":"a","n":"text"}')],
)
async def test_a_table_that_changes_while_it_is_exported(format: str, second: bytes) -> None:
    with pytest.raises(MillraceError, match="changed while it was exported"):
        await export(Growing(b'{"id":"a","n":1}', second), format, io.BytesIO())


async def test_an_empty_table(project: Path) -> None:
    table = await MemoryTables().open("rows", "id")
    written = {}
    for format in ("json", "ndjson", "csv"):
        file = io.BytesIO()
        assert await export(table, format, file) == 0
        written[format] = file.getvalue()
    assert written == {"json": b"[]\n", "ndjson": b"", "csv": b"id\r\n"}


def test_no_rows_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["table", "scan", "rows", "--after", "x"]) == 0
    assert capsys.readouterr() == ("", "no rows in 'rows' behind 'x'\n")


def test_parquet_is_not_written_to_a_terminal(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["table", "export", "rows", "--format", "parquet"]) == 1
    assert "give a file with -o" in capsys.readouterr().err


def test_watch_redraws_a_table(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([None, None])

    async def look_again(seconds: float) -> None:
        if next(looks, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr(queues_module.asyncio, "sleep", look_again)
    assert run(["queues", "--watch"]) == 130
    assert "images" in capsys.readouterr().out


def test_a_bar_shows_how_far_a_feed_is(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "a.txt").write_text("1\n2\n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert run(["feed", "images", "a.txt"]) == 0
    assert "a.txt" in capsys.readouterr().err


def test_ctrl_c_ends_a_feed_that_waits_and_leaves_the_next_files(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def interrupt(text: str) -> None:
        if not said:
            signal.raise_signal(signal.SIGINT)
        said.append(text)

    monkeypatch.setattr("millrace.cli.feed.note", interrupt)
    (project / "a.txt").write_text("1\n2\n")
    assert run(["feed", "narrow", "a.txt", "app.py", "--format", "text", "--json"]) == 130
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["sent"], row["state"]) == (1, "stopped")
    assert said == ["the queue is full: waiting for room", "stopped; the same command goes on from here"]


def test_a_body_without_a_name_is_guessed() -> None:
    assert guess_type(b"\xff") == "application/octet-stream"
    assert guess_type(b" [1]") == "application/json"


def test_names_of_which_there_are_none() -> None:
    assert unknown("table", "rows", []) == "no table 'rows'; there is no table at all"
    assert unknown("table", "xyz", ["b", "a"]) == "no table 'xyz'; there is a, b"


class Up:
    """Stands in for the app: says what it was asked, prints, and waits for the word to stop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: dict[str, Any] = {}
        monkeypatch.setattr("millrace.app.up", self.run)

    async def run(self, project: Any, *, announce: Any, stop: asyncio.Event, on_line: Any, **parts: Any) -> int:
        self.asked = {"host": project.gateway.host, "port": project.gateway.port, "stage": project.stage, **parts}
        announce("listening")
        on_line("classify", Line("stdout", "hello", "r", (), 0.0))
        signal.raise_signal(signal.SIGTERM)
        await stop.wait()
        signal.raise_signal(signal.SIGINT)  # the second one
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return 3


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["up", "--host", "::1", "--port", "0"], {"host": "::1", "port": 0, "gateway": True, "functions": None}),
        (["gateway", "--set", "gateway.port=9"], {"port": 9, "gateway": True, "functions": ()}),
        (["worker"], {"gateway": False, "functions": None}),
        (["worker", "-F", "classify"], {"gateway": False, "functions": ["classify"]}),
    ],
)
def test_up_gateway_and_worker(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    asked: dict[str, Any],
) -> None:
    up = Up(monkeypatch)
    killed: list[int] = []
    monkeypatch.setattr(os, "_exit", killed.append)
    assert run(arguments) == 3
    assert {name: up.asked[name] for name in asked} == asked
    assert killed == [1]
    err = capsys.readouterr().err
    assert "listening\n" in err
    assert "classify | hello\n" in err


@pytest.mark.parametrize("command", ["up", "gateway", "worker"])
def test_reload_runs_the_same_command_below_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("millrace.cli.reload.supervise", lambda *arguments: asked.append(arguments) or 7)
    where = ["--project", "millrace.yml"] if command == "up" else []
    assert run([command, *where, "--reload", "--stage", "prod", "--set", "drain=1s"]) == 7
    path = project / "millrace.yml"
    assert asked == [(project, [command, f"--project={path}", "--set=drain=1s", "--stage=prod"])]


@pytest.mark.parametrize("command", ["up", "gateway", "worker"])
def test_reload_keeps_secrets_out_of_the_arguments_of_its_child(
    project: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("millrace.cli.reload.supervise", lambda *arguments: asked.append(arguments) or 7)
    monkeypatch.setenv("MILLRACE_BROKER", "amqp://me:secret@there")
    monkeypatch.setenv("MILLRACE_DATABASE", "")
    monkeypatch.setenv("MILLRACE_PARAMETER", "Password=secret")
    assert run([command, "--reload", "--database", "postgresql://me:secret@there/pets"]) == 7
    assert asked == [(project, [command, f"--project={project / 'millrace.yml'}"])]
    assert os.environ["MILLRACE_BROKER"] == "amqp://me:secret@there"
    assert os.environ["MILLRACE_DATABASE"] == "postgresql://me:secret@there/pets"
    assert run([command, "--reload", "--parameter", "Name=a b"]) == 7
    assert asked[1][1][-1] == "--parameter=Name=a b"
