"""A Zappa project as it stands, under `millrace up` in a process of its own: a Flask app, a queue's event, a key."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from needs import needs_module

from millrace.server_process import ServerProcess

APP = """
import os
from pathlib import Path

from flask import Flask, jsonify, make_response, request

app = Flask(__name__)

@app.route("/pets/<name>", methods=["GET", "PUT"])
def pet(name):
    response = make_response(jsonify(name=name, q=request.args.getlist("q"), stage=os.environ["STAGE"],
                                     code=os.environ["code_env"], size=len(request.get_data())), 201)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response

@app.route("/picture")
def picture():
    return b"\\x89PNG\\xff", 200, {"content-type": "image/png"}

@app.route("/broken")
def broken():
    raise ValueError("no such pet")

def get_message(event, context):
    for record in event["Records"]:
        Path("seen.txt").write_text(record["body"] + " " + record["eventSourceARN"] + " " + context.function_name)
    return {"kept": len(event["Records"])}
"""
SETTINGS = {
    "dev": {
        "app_function": "api.app.app",
        "aws_region": "us-east-1",
        "project_name": "serverless-ML",
        "runtime": "python3.11",
        "s3_bucket": "my-bucket",
        "slim_handler": True,
        "environment_variables": {"code_env": "dev"},
        "events": [
            {
                "function": "api.app.get_message",
                "event_source": {
                    "arn": "arn:aws:sqs:us-east-1:123456789012:mail",
                    "batch_size": 1,
                    "enabled": True,
                },
            }
        ],
    },
    "keyed": {"extends": "dev", "api_key_required": True},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    needs_module("flask", "apig_wsgi")
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "app.py").write_text(APP)
    (tmp_path / "zappa_settings.json").write_text(json.dumps(SETTINGS, indent=2))
    return tmp_path


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncIterator[tuple[ServerProcess, httpx.AsyncClient]]:
    server = await ServerProcess.start(folder, ["--set", "aws.port=0", *arguments])
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as http:
            yield server, http
    finally:
        await server.stop()


def millrace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "millrace", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.timeout(120)
async def test_a_flask_app_and_its_event(folder: Path) -> None:
    async with running(folder) as (_, http):
        made = await http.put("/pets/r%C3%A9x?q=1&q=2", content=b"\xff" * 1000)
        assert made.status_code == 201
        assert made.json() == {"name": "réx", "q": ["1", "2"], "stage": "dev", "code": "dev", "size": 1000}
        assert [cookie.partition(";")[0] for cookie in made.headers.get_list("set-cookie")] == ["a=1", "b=2"]
        assert (await http.get("/picture")).content == b"\x89PNG\xff"
        assert (await http.get("/broken")).status_code == 500
        assert (await http.get("/nowhere/at/all")).status_code == 404
        assert (await http.head("/picture")).status_code == 200
        assert (await http.options("/picture")).headers["allow"]
        sent = await http.post("/queues/mail", content=b"hello", headers={"prefer": "wait=30"})
        assert sent.status_code == 200, sent.text
        assert sent.json()["state"] == "done"
    seen = (folder / "seen.txt").read_text()
    assert seen == "hello arn:aws:sqs:us-east-1:123456789012:mail serverless-ml-dev"


@pytest.mark.timeout(120)
async def test_a_key_that_zappa_would_make_is_made_here(folder: Path) -> None:
    async with running(folder, "--stage", "keyed") as (server, http):
        assert (await http.get("/picture")).json() == {"message": "Forbidden"}
        kept = folder / ".millrace" / "api_keys.json"
        (key,) = json.loads(kept.read_text()).values()
        assert (await http.get("/picture", headers={"x-api-key": key})).status_code == 200
    assert f"API keys that the project file gives no value are in {kept}" in server.log.read_text()


@pytest.mark.timeout(120)
async def test_converting_and_running_gives_the_same(folder: Path) -> None:
    converted = millrace("convert", "--project", str(folder), "--stage", "dev")
    assert converted.returncode == 0, converted.stderr
    shutil.move(folder / "zappa_settings.json", folder / "old.json")
    async with running(folder) as (_, http):
        assert (await http.get("/pets/rex")).json()["stage"] == "dev"


def test_a_wrong_function_is_told_before_anything_starts(folder: Path) -> None:
    text = (folder / "zappa_settings.json").read_text().replace('"api.app.get_message"', '"app.get_message"')
    (folder / "zappa_settings.json").write_text(text)
    for command in ("up", "check"):
        ended = millrace(command, "--project", str(folder))
        assert ended.returncode == 2
        assert "did you mean api.app.get_message (api/app.py:" in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
