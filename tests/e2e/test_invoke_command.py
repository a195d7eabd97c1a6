"""`millrace invoke` in Lambda's three ways: beside a running `up`, and alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aws_parts import running

PROJECT = """
service: pets
gateway: {port: 0}
aws: {port: 0, account: "123456789012", region: eu-west-1}
functions:
  hello: {handler: app.hello, name: pets-dev-hello, asynchronous: {}, timeout: 2s, to: [{table: seen}]}
  lacks: {handler: lacks.main}
  model: {model: app.Model}
tables:
  seen: {}
"""
APP = """
import os, time

def hello(event, context):
    print("hello", event)
    if event.get("fail"):
        raise ValueError("told to")
    if event.get("variable"):
        return os.environ["OUTBOX"]
    if event.get("exit"):
        os._exit(3)
    if event.get("stay"):
        time.sleep(60)
    told = context.client_context and context.client_context.custom
    return {"id": "1", "parent": os.getppid(), "told": told}

class Model:
    def predict(self, inputs):
        return inputs
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "lacks.py").write_text("import requestz\n")
    return tmp_path


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def invoke(folder: Path, *arguments: str) -> Ran:
    command = [sys.executable, "-m", "millrace", "invoke", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def log_of(ran: Ran) -> list[str]:
    lines = ran.err.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("START RequestId: "))
    return lines[start:]


@pytest.mark.timeout(120)
async def test_beside_up_the_call_is_made_there(folder: Path) -> None:
    async with running(folder) as site:

        async def call(*arguments: str) -> Ran:
            return await asyncio.to_thread(invoke, folder, *arguments)

        here, again = await call("hello"), await call("hello", "--client-context", '{"custom": {"a": 1}}')
        assert here.json["parent"] == again.json["parent"], "one warm replica"
        assert again.json["told"] == {"a": 1}
        assert here.err == ""
        failed = await call("hello", "-d", '{"fail": 1}', "--log")
        assert (failed.code, failed.json["errorType"]) == (1, "ValueError")
        assert "what to do" not in failed.err
        unset = await call("hello", "-d", '{"variable": 1}')
        assert "what to do: the environment variable OUTBOX is not set" in unset.err
        log = log_of(failed)
        assert log[1:3] == ["hello {'fail': 1}", "[ERROR] ValueError: told to"]
        assert log[-1].startswith(f"REPORT RequestId: {failed.json['requestId']}\tDuration: ")
        dry = await call("hello", "--type", "DryRun")
        assert (dry.code, dry.json["StatusCode"]) == (0, 204)
        event = await call("hello", "--type", "Event", "-d", '{"later": 1}')
        assert (event.code, event.json["StatusCode"]) == (0, 202)
        record = await site.backend.results.wait(event.json["RequestId"], 60.0)
        assert record is not None
        assert record.state == "done"
        lacking = await call("lacks")
        assert (lacking.code, lacking.json["errorType"]) == (1, "Runtime.ImportModuleError")


@pytest.mark.timeout(120)
def test_alone_it_has_a_replica_of_its_own(folder: Path) -> None:
    told = invoke(folder, "hello", "--log", "--client-context", '{"custom": {"a": 1}}')
    assert (told.code, told.json["told"]) == (0, {"a": 1})
    log = log_of(told)
    assert log[0].endswith("Version: $LATEST")
    assert log[1] == "hello {}"
    assert log[2].startswith("END RequestId: ")
    assert "\tBilled Duration: " in log[3]
    exited = invoke(folder, "hello", "-d", '{"exit": 1}', "--log")
    assert (exited.code, set(exited.json)) == (1, {"errorType", "errorMessage"})
    assert exited.json["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert log_of(exited)[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError\t")
    unset = invoke(folder, "hello", "-d", '{"variable": 1}')
    assert (unset.code, unset.json["errorType"]) == (1, "KeyError")
    assert "what to do: the environment variable OUTBOX is not set" in unset.err
    stayed = invoke(folder, "hello", "-d", '{"stay": 1}')
    assert stayed.json["errorType"] == "Sandbox.Timedout"
    lacking = invoke(folder, "lacks")
    assert lacking.code == 1
    assert lacking.json["errorMessage"] == "Unable to import module 'lacks': No module named 'requestz'"
    assert "install requestz" in lacking.err


@pytest.mark.timeout(120)
async def test_an_event_without_up_waits_for_it(folder: Path) -> None:
    event = await asyncio.to_thread(invoke, folder, "hello", "--type", "Event", "-d", '{"later": 1}')
    assert (event.code, event.json["StatusCode"]) == (0, 202)
    assert "hello runs it while `millrace up` does" in event.err
    async with running(folder) as site:
        record = await site.backend.results.wait(event.json["RequestId"], 60.0)
        assert record is not None
        assert record.state == "done"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model", "-d", "x", "--type", "Event"], "--type Event is for handlers"),
        (["model", "-d", "x", "--client-context", "{}"], "--client-context is for handlers"),
        (["hello", "-f", "app.py", "--type", "Event"], "--file is a message"),
        (["hello", "--client-context", "[1]"], "expected an object of JSON"),
        (["hello", "--client-context", "{"], "--client-context: expected JSON"),
        (["hello", "--client-context", json.dumps({"custom": "x" * 4000})], "at most 3583 characters"),
    ],
)
def test_mistakes(folder: Path, arguments: list[str], message: str) -> None:
    ran = invoke(folder, *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err
    assert "Traceback" not in ran.err
