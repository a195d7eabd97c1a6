"""What callers of functions are told when those fail: boto3's Invoke with its log, the gateway, destinations."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from aws_parts import client, running

PROJECT = """
service: pets
gateway: {port: 0}
aws: {port: 0, account: "123456789012", region: eu-west-1}
queues:
  ended: {}
functions:
  slow: {handler: app.slow, timeout: 1s}
  leaves: {handler: app.leaves}
  killed: {handler: app.killed}
  eats: {handler: app.eats, memory: 96MiB}
  fails: {handler: app.fails}
  quiet: {handler: app.quiet}
  typo: {handler: app.tpyo, events: [{http: GET /typo}]}
  lacks:
    handler: lacks.main
    asynchronous: {tries: 1, wait: 50ms, on_failure: {queue: ended}}
  syntax: {handler: syntax.main}
  leaves_early: {handler: early.main}
"""
APP = """
import logging, os, signal, sys, time

def slow(event, context):
    print("before", flush=True)
    time.sleep(60)

def leaves(event, context):
    sys.exit(7) if event.get("politely") else os._exit(7)

def killed(event, context):
    os.kill(os.getpid(), signal.SIGKILL)

def eats(event, context):
    kept = []
    while True:
        kept.append(bytearray(b"x" * (16 << 20)))
        time.sleep(0.02)

def fails(event, context):
    class BadPet(Exception): pass
    raise BadPet("no such pet")

def quiet(event, context):
    import botocore.credentials
    logging.getLogger("botocore.credentials").info("Found credentials in environment variables.")
    logging.warning("heard")
    return logging.getLogger().level
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "lacks.py").write_text("import requestz\n")
    (tmp_path / "syntax.py").write_text("def main(event, context)\n    pass\n")
    (tmp_path / "early.py").write_text("import sys\nsys.exit(4)\n")
    return tmp_path


class Told(NamedTuple):
    """What Invoke answered."""

    failed: bool
    document: Any
    log: list[str]
    id: str


def invoke(url: str, function: str, event: Any = None) -> Told:
    answer = client("lambda", url).invoke(FunctionName=function, Payload=json.dumps(event or {}), LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode().splitlines()
    id = answer["ResponseMetadata"]["RequestId"]
    return Told(answer.get("FunctionError") == "Unhandled", json.load(answer["Payload"]), log, id)


async def told(url: str, function: str, event: Any = None) -> Told:
    return await asyncio.to_thread(invoke, url, function, event)


@pytest.mark.timeout(120)
async def test_what_kills_a_function_is_told_in_lambdas_words(folder: Path) -> None:
    async with running(folder) as site:
        slow = await told(site.endpoint, "slow")
        text = "Task timed out after 1.00 seconds"
        assert slow.document == {"errorType": "Sandbox.Timedout", "errorMessage": f"RequestId: {slow.id} Error: {text}"}
        assert slow.log[:2] == [f"START RequestId: {slow.id} Version: $LATEST", "before"]
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {slow.id} {text}", slow.log[2])
        assert slow.log[3:5] == ["", f"END RequestId: {slow.id}"]
        assert slow.log[5].endswith("\tStatus: timeout\t")

        for function, event, ending in (
            ("leaves", {}, "exit status 7"),
            ("leaves", {"politely": True}, "exit status 7"),
            ("killed", {}, "signal: killed"),
        ):
            exited = await told(site.endpoint, function, event)
            message = f"RequestId: {exited.id} Error: Runtime exited with error: {ending}"
            assert exited.document == {"errorType": "Runtime.ExitError", "errorMessage": message}
            assert exited.log[1:3] == [message, "Runtime.ExitError"]
            assert exited.log[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError\t")

        eaten = await told(site.endpoint, "eats")
        message = f"RequestId: {eaten.id} Error: Runtime exited with error: signal: killed"
        assert eaten.document == {"errorType": "Runtime.OutOfMemory", "errorMessage": message}
        report = "\tMemory Size: 96 MB\tMax Memory Used: 96 MB\tStatus: error\tError Type: Runtime.OutOfMemory\t"
        assert eaten.log[-1].endswith(report)


@pytest.mark.timeout(120)
async def test_what_a_handler_raises_and_logs(folder: Path) -> None:
    async with running(folder) as site:
        raised = await told(site.endpoint, "fails")
        assert (raised.document["errorType"], raised.document["errorMessage"]) == ("BadPet", "no such pet")
        assert (raised.document["requestId"], len(raised.document["stackTrace"])) == (raised.id, 1)
        assert raised.log[1:3] == ["[ERROR] BadPet: no such pet", "Traceback (most recent call last):"]
        assert "Status" not in raised.log[-1]
        quiet = await told(site.endpoint, "quiet")
        assert quiet.document == 30, "Lambda's Python runtime leaves the root logger at WARNING"
        assert quiet.log[1:-2] == ["heard"]


@pytest.mark.timeout(120)
async def test_what_cannot_be_loaded_is_told_to_every_kind_of_caller(folder: Path) -> None:
    async with running(folder) as site:
        lacks = "Unable to import module 'lacks': No module named 'requestz'"
        for function, type_, message in (
            ("typo", "Runtime.HandlerNotFound", "Handler 'tpyo' missing on module 'app'"),
            ("lacks", "Runtime.ImportModuleError", lacks),
            (
                "syntax",
                "Runtime.UserCodeSyntaxError",
                "Syntax error in module 'syntax': expected ':' (syntax.py, line 1)",
            ),
        ):
            found = await told(site.endpoint, function)
            assert found.failed
            assert (found.document["errorType"], found.document["errorMessage"]) == (type_, message)
            assert found.document["requestId"] == found.id
            assert found.log[-1].endswith(f"\tStatus: error\tError Type: {type_}\t")
        early = await told(site.endpoint, "leaves_early")
        assert early.document == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {early.id} Error: Runtime exited with error: exit status 4",
        }
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{site.gateway}/typo", timeout=30)
        assert answer.status_code == 502
        await asyncio.to_thread(client("lambda", site.endpoint).invoke, FunctionName="lacks", InvocationType="Event")
        (ended,) = await site.received("ended", 1)
        envelope = ended.json()
        assert envelope["requestContext"]["condition"] == "RetriesExhausted"
        assert envelope["requestContext"]["approximateInvokeCount"] == 2
        assert envelope["responsePayload"]["errorType"] == "Runtime.ImportModuleError"
        assert envelope["responsePayload"]["errorMessage"] == lacks
        known = "".join(file.read_text() for file in (folder / ".millrace/logs").rglob("*typo*"))
        assert "app has no tpyo" in known, "the log knows more"
