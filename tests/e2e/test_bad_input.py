"""What bad input gets from a real `millrace up`: a clear refusal, and nothing half accepted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from test_commands import Process, started

PROJECT = """
service: careless
gateway: {max_body: 1KB}
queues:
  items: {max_receives: 1}
  small: {max_depth: 2}
functions:
  model:
    model: app.Model
    events: [{queue: items}, {http: POST /items}]
  nobody:
    model: app.Model
    replicas: 0
    events: [{queue: small}, {http: POST /small}]
  patient:
    handler: app.patient
    events: [{http: GET /patient}]
"""
CODE = """
class Face:
    pass

class Model:
    def predict(self, inputs):
        if {"ask": "short"} in inputs:
            return inputs[:-1]
        return [{"faces": [1, Face()]} if each == {"ask": "face"} else each for each in inputs]

def patient(event, context):
    open("begun", "w").close()
    with open("go-on") as pipe:
        return {"statusCode": 200, "body": pipe.read()}
"""
JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    (tmp_path / "app.py").write_text(CODE)
    for pipe in ("begun", "go-on"):
        os.mkfifo(tmp_path / pipe)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@asynccontextmanager
async def served(*options: str, stopped: bool = False) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    async with started("up", "--port", "0", *options) as mill:
        url = (await mill.line("listening on ")).split()[-1]
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
            yield mill, http
        if not stopped:
            mill.signal(signal.SIGTERM)
        assert await mill.ended() == 0, mill.lines


def problem(response: httpx.Response) -> tuple[int, str]:
    """The status and the kind of the problem; the body must be one."""
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == response.status_code
    return response.status_code, found["type"].rpartition(":")[2]


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(4):
        yield b"x" * 500


async def messages(http: httpx.AsyncClient) -> float:
    """How many were ever accepted."""
    lines = (await http.get("/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("millrace_messages_accepted_total"))


async def test_requests_at_fault_are_refused_and_nothing_of_them_is_stored(project: Path) -> None:
    cases: list[tuple[str, str, dict[str, Any], tuple[int, str]]] = [
        ("POST", "/items", {"content": b"x" * 2000}, (413, "too-large")),
        ("POST", "/items", {"content": chunks()}, (413, "too-large")),
        ("POST", "/item", {"content": b"x"}, (404, "no-such-path")),
        ("POST", "/queues/itmes", {"content": b"x"}, (404, "no-such-queue")),
        ("GET", "/results/nothing", {}, (404, "no-such-result")),
        ("POST", "/items", {"content": b'{"a":', "headers": JSON}, (400, "not-json")),
        ("POST", "/items", {"content": b'{"a": 1}\n{\n', "headers": NDJSON}, (400, "not-json")),
        ("DELETE", "/items", {}, (405, "wrong-method")),
    ]
    async with served() as (_, http):
        for method, path, options, expected in cases:
            assert problem(await http.request(method, path, **options)) == expected, (method, path)
        assert await messages(http) == 0


async def test_a_full_queue_says_when_to_come_again(project: Path) -> None:
    async with served() as (_, http):
        three = await http.post("/small", content=b"1\n2\n3\n", headers=NDJSON)
        assert problem(three) == (429, "queue-full")
        assert int(three.headers["retry-after"]) >= 1
        assert await messages(http) == 0, "all of a request or nothing"
        assert (await http.post("/small", content=b"1\n2\n", headers=NDJSON)).status_code == 202


@pytest.mark.parametrize(
    ("ask", "said"),
    [("face", "$.faces[1]: app.Face is not JSON"), ("short", "predict returned 0 outputs for 1 input")],
)
async def test_answers_at_fault_are_named_to_the_client_and_in_the_terminal(project: Path, ask: str, said: str) -> None:
    async with served() as (mill, http):
        response = await http.post("/items", json={"ask": ask}, headers={"prefer": "wait=20"})
        assert problem(response) == (500, "function-failed")
        assert said in response.json()["detail"]
        assert said in await mill.line("died (try 1)")
        assert (await http.post("/items", json={}, headers={"prefer": "wait=20"})).status_code == 200


async def test_while_it_drains_it_says_503_and_finishes_what_runs(project: Path) -> None:
    async with served(stopped=True) as (mill, http):
        asked = asyncio.create_task(http.get("/patient"))
        await asyncio.to_thread((project / "begun").read_bytes)
        mill.signal(signal.SIGTERM)
        await mill.line("draining")
        refused = await http.post("/items", json={})
        assert problem(refused) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        assert problem(await http.get("/readyz")) == (503, "draining")
        assert (await http.get("/healthz")).status_code == 200
        await asyncio.to_thread((project / "go-on").write_text, "at last")
        assert (await asked).text == "at last"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("import numpyy\n", "No module named 'numpyy'"),
        ("class Modl:\n    pass\n", "did you mean Modl? app has Face, Modl"),
        (
            "class Model:\n    predict = print\n\n    def load(self):\n        raise OSError('no weights')\n",
            "OSError: no weights",
        ),
    ],
)
async def test_code_that_does_not_load_is_told_and_mended_on_the_run(project: Path, broken: str, said: str) -> None:
    sound = (project / "app.py").read_text()
    (project / "app.py").write_text(broken + sound.replace("Model", "Other") if "class" in broken else broken + sound)
    async with served("--reload") as (mill, http):
        await mill.line("model cannot run yet")
        told = "".join(mill.lines)
        assert told.count("model did not load") == 1
        refused = await http.get("/readyz")
        assert problem(refused) == (503, "not-ready")
        assert said in refused.json()["details"]["functions"]["model"]["failure"]["message"] or said in told
        (project / "app.py").write_text(sound)
        await mill.line("starting anew")
        await mill.line("model is ready")
