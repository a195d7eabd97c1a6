"""The commands as people type them: what they print, what they answer to a beginner's mistake, their exit codes."""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from millrace.app import Backend, open_backend
from millrace.cli import run
from millrace.client import AsyncClient
from millrace.config.load import load
from millrace.logbook import Entry, LogBook
from millrace.types import Commit, Death, Failure, Message, Outcome, Put, Record, Row

PROJECT = """
service: pets
queues:
  images: {}
  orders: {fifo: true}
  narrow: {max_depth: 40}
tables:
  predictions: {}
functions:
  classify:
    model: app.Classifier
    events:
      - queue: images
      - http: POST /images
    batch: {size: 8}
    to:
      - table: predictions
  hello:
    handler: app.hello
  broken:
    model: app.Broken
    replicas: 0
"""
CODE = """
class Classifier:
    def predict(self, inputs):
        print("predicting", inputs)
        return [{"label": "cat", "input": each if isinstance(each, (str, dict)) else len(each)} for each in inputs]

class Broken:
    def load(self):
        raise OSError("no weights here")
    def predict(self, inputs):
        return inputs

def hello(event, context):
    if event.get("exit"):
        import os
        os._exit(3)
    if event.get("fail"):
        raise ValueError("told to fail")
    return {"event": event}
"""
FAILURE = Failure(
    "builtins.ValueError", "no face in it", "Traceback (most recent call last):\n  ...\nValueError: no face"
)


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def cli(project: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> Ran:
        code = run(arguments)
        return Ran(code, *capsys.readouterr())

    return call


def at_project(work: Callable[[Backend], Awaitable[Any]]) -> Any:
    async def with_backend() -> Any:
        backend = await open_backend(load(Path()))
        try:
            return await work(backend)
        finally:
            await backend.close()

    return asyncio.run(with_backend())


def settle(failure: Failure | None = None) -> None:
    """Finish the next message of `images`: done, or dead."""

    async def work(backend: Backend) -> None:
        (lease,) = await backend.broker.take("images", 1)
        await backend.broker.settle(Commit("images", [outcome(lease, failure)]))

    at_project(work)


def outcome(lease: Any, failure: Failure | None = None) -> Outcome:
    state = "dead" if failure else "done"
    value = None if failure else msgspec.Raw(b'{"label":"cat"}')
    record = Record(lease.message.id, "images", state, value, failure, 1, "classify", "v1", 10.0, 11.0, 12.5)
    death = Death("failed", failure, "images", 5, 11.0, 12.5, "classify", "v1") if failure else None
    return Outcome(lease, state, record, death=death)


def assert_fits(text: str) -> None:
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


class TestSend:
    def test_prints_the_id(self, cli: Cli) -> None:
        sent = cli("send", "images", '{"a": 1}', "--id", "order-1", "--attr", "from=me")
        assert sent == (0, "order-1\n", "")
        (message,) = cli("peek", "images", "--json").json
        assert message["body"] == '{"a": 1}'
        assert message["attributes"] == {"content-type": "application/json", "from": "me"}

    def test_the_same_id_again_is_told(self, cli: Cli) -> None:
        cli("send", "images", "a", "--id", "x")
        again = cli("send", "images", "b", "--id", "x")
        assert (again.code, again.out) == (0, "x\n")
        assert "knows this id" in again.err
        assert cli("send", "images", "c", "--id", "x", "--json").json["duplicate"] is True

    def test_a_file_and_a_pipe(self, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (project / "cat.png").write_bytes(b"\x89PNG\xff")
        assert cli("send", "images", "--file", "cat.png").code == 0
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[not json")))
        assert cli("send", "images", "-", "--delay", "1h").code == 0
        picture, text = cli("peek", "images", "--json").json
        assert picture["attributes"] == {"content-type": "image/png", "filename": "cat.png"}
        assert picture["body_base64"] == "iVBOR/8="
        assert (text["state"], text["body"]) == ("delayed", "[not json")
        assert text["attributes"]["content-type"].startswith("text/plain")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["imagse", "x"], "did you mean 'images'?"),
            (["images"], "got neither"),
            (["images", "x", "--file", "y"], "got both"),
            (["images", "--file", "nowhere.png"], "nowhere.png: No such file"),
            (["images", "--file", "big"], "larger than 16,000,000 bytes"),
            (["images", "x", "--attr", "novalue"], "expected KEY=VALUE, got 'novalue'"),
            (["images", "x", "--attr", "millrace-event=http"], "millrace's own"),
            (["images", "x", "--delay", "soon"], "expected a duration such as 30s"),
        ],
    )
    def test_mistakes(self, cli: Cli, project: Path, arguments: list[str], message: str) -> None:
        with (project / "big").open("wb") as big:
            big.truncate(16_000_001)
        ran = cli("send", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert message in ran.err

    def test_without_a_project(self, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> None:
        os.chdir(tmp_path_factory.mktemp("empty"))
        ran = cli("queues")
        assert ran.code == 2
        assert "no project file" in ran.err
        assert "millrace init" in ran.err


class TestQueues:
    def test_a_table_and_json(self, cli: Cli) -> None:
        cli("send", "images", "x")
        cli("send", "images", "x", "--delay", "1h")
        shown = cli("queues")
        assert_fits(shown.out)
        assert "in flight" in shown.out
        first, *_ = cli("queues", "--json").json
        age = first.pop("oldest_age_s")
        assert first == {"queue": "images", "depth": 1, "in_flight": 0, "delayed": 1, "dead": 0}
        assert age > 0

    def test_peek(self, cli: Cli) -> None:
        cli("send", "images", "a long text \x1b[31m" + "x" * 200)
        cli("send", "images", "second", "--id", "2")
        shown = cli("peek", "images")
        assert_fits(shown.out)
        assert "\x1b" not in shown.out
        assert [each["id"] for each in cli("peek", "images", "--id", "2", "--json").json] == ["2"]
        assert "did you mean 'orders'" in cli("peek", "order").err

    def test_purge_asks(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        cli("send", "images", "x")
        monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
        refused = cli("purge", "images")
        assert refused.code == 1
        assert "1 message of 'images'" in refused.err
        assert cli("purge", "images", "--yes").out == "1 deleted from 'images'\n"
        assert cli("queues", "--json").json[0]["depth"] == 0


class TestDead:
    def test_list_show_redrive(self, cli: Cli) -> None:
        cli("send", "images", "x", "--id", "bad-one")
        settle(FAILURE)
        shown = cli("dead", "list", "images")
        assert_fits(shown.out)
        assert "ValueError: no face" in shown.out
        (letter,) = cli("dead", "list", "images", "--json").json
        assert (letter["id"], letter["death"]["reason"], letter["death"]["attempts"]) == ("bad-one", "failed", 5)
        assert "Traceback" in cli("dead", "show", "images", "bad-one").out
        assert cli("dead", "show", "images.dead", "bad-one", "--json").json == [letter]
        assert cli("queues", "--json").json[0]["dead"] == 1
        assert cli("dead", "redrive", "images", "bad-one").out == "1 back in 'images'\n"
        assert cli("queues", "--json").json[0]["depth"] == 1

    def test_purge(self, cli: Cli) -> None:
        cli("send", "images", "x")
        settle(FAILURE)
        assert cli("dead", "purge", "images", "--all", "--yes").out == "1 deleted from 'images.dead'\n"
        assert cli("dead", "list", "images", "--json").json == []

    def test_a_letter_that_was_sent_there_by_hand(self, cli: Cli) -> None:
        cli("send", "images.dead", "x", "--id", "1")
        assert cli("dead", "list", "images").code == 0
        assert "body:" in cli("dead", "show", "images", "1").out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["list", "imagse"], "did you mean 'images'?"),
            (["show", "images", "none"], "no dead letter 'none'"),
            (["redrive", "images"], "Give their ids or --all"),
            (["purge", "images", "1", "--all"], "Give their ids or --all"),
            (["redrive", "images", "none"], "1 of 1 ids are no dead letters"),
        ],
    )
    def test_mistakes(self, cli: Cli, arguments: list[str], message: str) -> None:
        ran = cli("dead", *arguments)
        assert ran.code == 1
        assert message in ran.err


ROWS = [
    {"id": "a", "n": 1, "tags": ["x"]},
    {"id": "b", "n": 2.5, "text": "two\nlines"},
    {"id": "c", "n": None, "text": 'say "hi"'},
]


class TestTable:
    @pytest.fixture(autouse=True)
    def rows(self, project: Path) -> None:
        rows = [Row("predictions", row["id"], msgspec.json.encode(row)) for row in ROWS]
        at_project(lambda backend: backend.tables["predictions"].put(rows))

    def test_get_and_scan(self, cli: Cli) -> None:
        assert cli("table", "get", "predictions", "b").json == ROWS[1]
        shown = cli("table", "scan", "predictions", "-n", "2")
        assert_fits(shown.out)
        assert "--after b" in shown.err
        assert cli("table", "scan", "predictions", "--after", "a", "--json").json == ROWS[1:]

    def test_export_as_text(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("millrace.cli.export._PAGE", 2)
        assert cli("table", "export", "predictions").json == ROWS
        lines = cli("table", "export", "predictions", "--format", "ndjson").out.splitlines()
        assert [json.loads(line) for line in lines] == ROWS
        table = list(csv.DictReader(io.StringIO(cli("table", "export", "predictions", "--format", "csv").out)))
        assert table[0] == {"id": "a", "n": "1", "tags": '["x"]', "text": ""}
        assert table[1]["text"] == "two\nlines"

    def test_export_as_parquet(self, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from pyarrow import parquet

        monkeypatch.setattr("millrace.cli.export._PAGE", 2)
        assert cli("table", "export", "predictions", "-o", "p.parquet").err == "3 rows in p.parquet\n"
        rows = parquet.read_table(project / "p.parquet").to_pylist()
        assert rows == [{"id": None, "n": None, "tags": None, "text": None, **row} for row in ROWS]
        assert not list(project.glob(".p.parquet*"))

    def test_what_parquet_cannot_hold(self, cli: Cli) -> None:
        odd = Row("predictions", "d", b'{"id":"d","n":"a text"}')
        at_project(lambda backend: backend.tables["predictions"].put([odd]))
        ran = cli("table", "export", "predictions", "-o", "p.parquet")
        assert ran.code == 1
        assert "export it as ndjson" in ran.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["get", "predictions", "z"], "no row 'z'"),
            (["scan", "prediction"], "did you mean 'predictions'?"),
            (["export", "predictions", "-o", "p.xlsx"], "expected the format json, ndjson, csv or parquet"),
            (["export", "predictions", "-o", "nowhere/p.csv"], "nowhere/p.csv: No such file"),
        ],
    )
    def test_mistakes(self, cli: Cli, arguments: list[str], message: str) -> None:
        ran = cli("table", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert message in ran.err


class TestResult:
    def test_queued_then_done(self, cli: Cli) -> None:
        cli("send", "images", "x", "--id", "1")
        assert cli("result", "1", "--json").json[0]["state"] == "queued"
        assert cli("result", "1", "--wait", "0.01").code == 1
        settle()
        shown = cli("result", "1", "--wait", "5")
        assert shown.code == 0
        assert '{"label":"cat"}' in shown.out
        (record,) = cli("result", "1", "--json").json
        assert (record["state"], record["value"], record["version"]) == ("done", {"label": "cat"}, "v1")

    def test_dead(self, cli: Cli) -> None:
        cli("send", "images", "x", "--id", "1")
        settle(FAILURE)
        shown = cli("result", "1")
        assert shown.code == 1
        assert "ValueError: no face in it" in shown.out
        assert "Traceback" in shown.out
        assert cli("result", "1", "--json").json[0]["failure"]["message"] == "no face in it"

    def test_unknown(self, cli: Cli) -> None:
        ran = cli("result", "none")
        assert ran.code == 1
        assert "nothing is known of message 'none'" in ran.err


class TestLogs:
    @pytest.fixture(autouse=True)
    def lines(self, project: Path) -> None:
        book = LogBook(project / ".millrace" / "logs")
        for number in range(3):
            book.write(
                Entry(float(number), "INFO", "classify", "stdout", f"line {number}", f"r{number}", (f"m{number}",))
            )
        book.write(Entry(3.0, "ERROR", "hello", "stderr", "broken"))
        book.close()

    def test_lines(self, cli: Cli) -> None:
        assert cli("logs", "classify", "--tail", "1").out.endswith("classify | line 2\n")
        assert "hello ERROR | broken" in cli("logs").out
        assert [each["text"] for each in cli("logs", "--id", "m1", "--json").json] == ["line 1"]
        assert len(cli("logs", "--json").json) == 4
        assert cli("logs", "--id", "none", "--json").json == []

    def test_a_mistake(self, cli: Cli) -> None:
        assert "did you mean 'classify'?" in cli("logs", "clasify").err

    def test_follow(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        def ended(book: LogBook, function: object, id: object, *, follow: bool) -> Any:
            assert follow
            yield Entry(1.0, "INFO", "hello", "stdout", "hi")
            raise KeyboardInterrupt

        monkeypatch.setattr(LogBook, "read", ended)
        followed = cli("logs", "--follow", "--json")
        assert followed.code == 130
        assert json.loads(followed.out)["text"] == "hi"
        assert cli("logs", "--follow").out.endswith("hello | hi\n")


class TestInvoke:
    def test_a_model_and_a_handler(self, cli: Cli, project: Path) -> None:
        assert cli("invoke", "classify", "--data", '{"a": 1}').json == {"label": "cat", "input": {"a": 1}}
        (project / "cat.bin").write_bytes(b"\xff\xfe")
        ran = cli("invoke", "classify", "--file", "cat.bin")
        assert ran.json == {"label": "cat", "input": 2}
        assert "predicting" in ran.err
        assert cli("invoke", "hello").json == {"event": {}}
        (project / "event.json").write_text('{"Records": []}')
        assert cli("invoke", "hello", "--event", "event.json").json == {"event": {"Records": []}}

    def test_an_error_of_the_function(self, cli: Cli) -> None:
        ran = cli("invoke", "hello", "--data", '{"fail": true}')
        assert ran.code == 1
        assert (ran.json["errorType"], ran.json["errorMessage"]) == ("ValueError", "told to fail")
        assert "raise ValueError" in "".join(ran.json["stackTrace"])

    def test_the_end_of_the_replica(self, cli: Cli) -> None:
        ran = cli("invoke", "hello", "--data", '{"exit": true}')
        assert ran.code == 1
        assert "3" in ran.json["errorMessage"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["clasify"], "did you mean 'classify'?"),
            (["classify"], "it needs an input"),
            (["classify", "--data", "x", "--file", "y"], "got several"),
            (["hello", "--data", "x"], "a text wants quotes: --data '\"hello\"'"),
            (["hello", "--event", "app.py"], "--event app.py: expected JSON"),
            (["broken", "--data", "x"], "broken did not load: OSError: no weights here"),
        ],
    )
    def test_mistakes(self, cli: Cli, arguments: list[str], message: str) -> None:
        ran = cli("invoke", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert message in ran.err


class TestSample:
    def test_lines_of_a_table(self, cli: Cli, project: Path) -> None:
        (project / "a.csv").write_text("id,text\n" + "".join(f'{n},"a\nb"\n' for n in range(100)))
        ran = cli("sample", "a.csv", "-n", "3", "--seed", "1")
        rows = list(csv.reader(io.StringIO(ran.out)))
        assert (len(rows), rows[0], rows[1][1]) == (4, ["id", "text"], "a\nb")
        assert cli("sample", "a.csv", "-n", "3", "--seed", "1") == ran
        assert len(cli("sample", "a.csv", "-n", "3", "--raw", "--no-header").out.splitlines()) == 3

    def test_a_pipe(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n2\n3\n")))
        assert cli("sample", "-", "-n", "9").out == "1\n2\n3\n"

    @pytest.mark.parametrize(("name", "message"), [("nowhere", "No such file"), (".", "is a folder")])
    def test_mistakes(self, cli: Cli, name: str, message: str) -> None:
        ran = cli("sample", name, "-n", "3")
        assert ran.code == 1
        assert message in ran.err

    def test_a_reader_that_has_seen_enough_is_no_fault_of_the_file(
        self, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(*_: object, **__: object) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        monkeypatch.setattr("millrace.feeds.sample.sample_lines", gone)
        ran = cli("sample", "app.py", "-n", "3")
        assert (ran.code, ran.err) == (1, "")


class TestFeed:
    def test_files_become_messages(self, cli: Cli, project: Path) -> None:
        (project / "a.csv").write_text("id\n1\n2\n")
        (project / "b.ndjson").write_text("3\n")
        fed = cli("feed", "images", "a.csv", "b.ndjson", "--json")
        assert [(row["sent"], row["state"]) for row in fed.json] == [(2, "finished"), (1, "finished")]
        assert [each["body"] for each in cli("peek", "images", "--json").json] == ['{"id":"1"}', '{"id":"2"}', "3"]
        again = cli("feed", "images", "a.csv", "--json")
        assert again.json[0]["sent"] == 0
        assert "goes on where" in again.err
        assert "nothing new since it was fed; --again sends" in again.err
        (project / "a.csv").write_text("id\n9\n2\n")
        changed = cli("feed", "images", "a.csv", "--json")
        assert (changed.json[0]["sent"], changed.json[0]["known"]) == (1, 1)
        assert "has changed" in changed.err
        assert_fits(cli("feed", "images", "a.csv", "--again").out)

    def test_a_fifo_queue_keeps_a_files_order(self, cli: Cli, project: Path) -> None:
        (project / "a.txt").write_text("1\n2\n")
        cli("feed", "orders", "a.txt")
        assert {each["group"] for each in cli("peek", "orders", "--json").json} == {"a.txt"}

    def test_bad_lines(self, cli: Cli, project: Path) -> None:
        (project / "a.ndjson").write_text("1\n{\n3\n")
        refused = cli("feed", "images", "a.ndjson")
        assert refused.code == 1
        assert "a.ndjson:2: not JSON" in refused.err
        assert "--skip-bad" in refused.err
        skipped = cli("feed", "images", "a.ndjson", "--skip-bad", "--json")
        assert (skipped.code, skipped.json[0]["sent"], skipped.json[0]["skipped"]) == (0, 1, 1)
        assert "a.ndjson:2" in skipped.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["imagse", "app.py"], "did you mean 'images'?"),
            (["images", "nowhere.csv"], "no such file or folder"),
            (["images", "app.py"], "expected a folder or a file named .csv"),
            (["images", "app.py", "--format", "excel"], "no format 'excel'"),
        ],
    )
    def test_mistakes(self, cli: Cli, arguments: list[str], message: str) -> None:
        ran = cli("feed", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert message in ran.err


class Process:
    """A real `millrace`, its output read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def line(self, containing: str) -> str:
        """The next line that contains a text."""
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            self.lines.append(line)
            if containing in line:
                return line
        raise AssertionError(f"it ended without {containing!r}: {''.join(self.lines)}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """The exit code, once it has ended."""
        assert self._process.stdout is not None
        self.lines += (await self._process.stdout.read()).decode().splitlines()
        return await self._process.wait()


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millrace", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_feed_goes_on_after_ctrl_c_without_duplicates(project: Path) -> None:
    (project / "many.ndjson").write_text("".join(f"{number}\n" for number in range(150)))
    async with started("feed", "narrow", "many.ndjson") as feed:
        await feed.line("waiting for room")
        feed.signal(signal.SIGINT)
        assert await feed.ended() == 130
        assert "the same command goes on" in "".join(feed.lines)
    backend = await open_backend(load(project))
    try:
        assert (await backend.broker.stats("narrow")).depth == 40
        async with started("feed", "narrow", "many.ndjson") as feed:
            assert await consumed(backend, feed) == list(range(150))
    finally:
        await backend.close()


async def consumed(backend: Backend, feed: Process) -> list[Any]:
    """The bodies of `narrow`, taken while the feed runs and after it has ended well."""
    ending = asyncio.create_task(feed.ended())
    bodies: list[Any] = []
    while True:
        over = ending.done()
        leases = await backend.broker.take("narrow", 10)
        await backend.broker.settle(Commit("narrow", [outcome(lease) for lease in leases]))
        bodies += [lease.message.json() for lease in leases]
        if over and not leases:
            assert await ending == 0, feed.lines
            return bodies
        await backend.broker.wait("narrow", 0.05)


async def test_up_serves_until_ctrl_c(project: Path) -> None:
    async with started("up", "--port", "0") as mill:
        url = (await mill.line("listening on ")).split()[-1]
        async with AsyncClient(url) as client:
            id = await client.send("images", {"name": "tom"})
            result = await client.wait(id, 30)
        assert result.value == {"label": "cat", "input": {"name": "tom"}}
        async with started("up", "--port", "0") as second:
            assert await second.ended() == 1
            assert "another millrace" in "".join(second.lines)
        async with AsyncClient(project) as client:
            assert (await client.wait(await client.send("images", "tom"), 30)).state == "done"
        mill.signal(signal.SIGINT)
        assert await mill.ended() == 0, mill.lines


async def test_gateway_and_worker_are_the_same_parts_apart(project: Path) -> None:
    async with started("gateway", "--port", "0") as gateway, started("worker", "-F", "classify") as worker:
        url = (await gateway.line("listening on ")).split()[-1]
        async with AsyncClient(url) as client:
            assert (await client.wait(await client.send("images", "tom"), 30)).state == "done"
        worker.signal(signal.SIGTERM)
        gateway.signal(signal.SIGTERM)
        assert (await worker.ended(), await gateway.ended()) == (0, 0)


async def test_reload_starts_anew_with_the_changed_code(project: Path) -> None:
    async with started("worker", "--function", "classify", "--reload") as worker:
        await worker.line("classify is ready")
        (project / "app.py").write_text(CODE.replace("cat", "dog"))
        await worker.line("changed: app.py")
        await worker.line("classify is ready")
        async with AsyncClient(project) as client:
            result = await client.wait(await client.send("images", "rex"), 30)
        assert result.value["label"] == "dog"
        worker.signal(signal.SIGINT)
        assert await worker.ended() == 0, worker.lines


def test_worker_names_a_function_that_is_not_there(cli: Cli) -> None:
    assert "did you mean 'classify'?" in cli("worker", "-F", "clasify").err


async def test_watch_shows_the_queues_again_and_again(project: Path) -> None:
    backend = await open_backend(load(project))
    async with started("queues", "--watch", "--json", "--interval", "0.1") as queues:
        await queues.line('"queue": "images", "depth": 0')
        await backend.broker.put([Put("images", Message("1"))])
        await queues.line('"queue": "images", "depth": 1')
        queues.signal(signal.SIGINT)
        assert await queues.ended() == 130
    await backend.close()
