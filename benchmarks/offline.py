"""The hello handler behind HTTP, by `millrace up` and by serverless-offline, from one serverless.yml; its bounds.

SAM's local API is left out: it runs every function in a Docker container.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import npm
from benchmarks.mill import up
from benchmarks.page import ROOT
from benchmarks.served import free_port, served

PATH = "/hello"
PACKAGES = ("serverless@3", "serverless-offline@13")
_HANDLER = """\
import json


def hello(event, context):
    return {"statusCode": 200, "body": json.dumps({"message": "Hello world"})}
"""
_PROJECT = """\
service: hello
frameworkVersion: "3"
provider:
  name: aws
  runtime: python3.11
functions:
  hello:
    handler: handler.hello
    events:
      - httpApi: GET /hello
"""


def write(folder: Path, plugins: str = "") -> None:
    """The project: a handler that does nothing, and its route."""
    (folder / "handler.py").write_text(_HANDLER)
    (folder / "serverless.yml").write_text(_PROJECT + plugins)


@contextlib.contextmanager
def millrace(folder: Path) -> Iterator[str]:
    """`millrace up` in the folder, the function loaded."""
    write(folder)
    with asyncio.Runner() as runner:
        running = up(folder, "--set", "aws.port=0")
        server = runner.run(running.__aenter__())
        try:
            yield server.url
        finally:
            runner.run(running.__aexit__(None, None, None))


def serverless_offline(folder: Path) -> AbstractContextManager[str]:
    """serverless-offline from npm, with the Python that runs this. Raises npm.Absent."""
    modules = npm.install(folder, *PACKAGES)
    write(folder, "plugins: [serverless-offline]\n")
    port, lambda_port = free_port(), free_port()
    options = [f"--httpPort={port}", f"--lambdaPort={lambda_port}", "--noPrependStageInUrl"]
    environment = npm.environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    command = ["node", str(modules / "serverless/bin/serverless.js"), "offline", *options]
    return served(command, f"http://127.0.0.1:{port}{PATH}", folder, environment)


def hop(folder: Path) -> AbstractContextManager[str]:
    """The handler in a process behind uvicorn, and no more: see benchmarks/hop.py."""
    write(folder)
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.hop", str(port), str(folder / "handler.py"), "hello"]
    return served(command, f"http://127.0.0.1:{port}{PATH}", folder, os.environ | {"PYTHONPATH": str(ROOT)})


def constant(folder: Path) -> AbstractContextManager[str]:
    """The answer without the handler: see benchmarks/constant.py."""
    port = free_port()
    options = ["--port", str(port), "--lifespan", "off", "--log-level", "error", "--no-access-log"]
    command = [sys.executable, "-m", "uvicorn", "benchmarks.constant:app", *options]
    return served(command, f"http://127.0.0.1:{port}{PATH}", folder, os.environ | {"PYTHONPATH": str(ROOT)})
