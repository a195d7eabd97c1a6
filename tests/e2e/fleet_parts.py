"""A fleet of this test's own: machines are folders, with processes in them that know one broker and one database."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil

MILLRACE = (sys.executable, "-m", "millrace")
BROKERS = ("redis", "nats", "rabbitmq")
READY_S = 60.0

PROJECT = """\
service: pets
gateway: {port: 0}
queues:
  images: {lease: 5s, max_receives: 10}
  labels: {lease: 5s}
tables:
  rows: {}
  tallies: {}
functions:
  classify:
    model: app.Classifier
    events: [{queue: images}, {http: POST /images}]
    batch: {size: 8, wait: 5ms}
    to: [{table: rows}, {queue: labels}]
    timeout: 5s
  tally:
    model: app.Tally
    events: [{queue: labels}]
    to: [{table: tallies}]
    timeout: 5s
  hello:
    handler: app.hello
    events: [{http: "GET /hello/{name}"}]
    timeout: 10s
"""

APP = """\
import json, os, secrets, time


class Classifier:
    def predict(self, inputs):
        time.sleep(0.02)
        return [{"image": each["image"], "run": secrets.token_hex(4)} for each in inputs]


class Tally:
    def predict(self, inputs):
        return inputs


def hello(event, context):
    return {"statusCode": 200, "body": json.dumps({"name": event["pathParameters"]["name"], "pid": os.getppid()})}
"""


def apart(url: str) -> str:
    """A broker's URL under which nothing of another test is seen."""
    return f"{url}{'&' if '?' in url else '?'}prefix=t{secrets.token_hex(4)}."


def schema(url: str) -> str:
    """A database's URL under which nothing of another test is seen."""
    return f"{url}{'&' if '?' in url else '?'}schema=t{secrets.token_hex(4)}"


class Process:
    """`millrace gateway` or `millrace worker` on one machine; its output is in a file."""

    def __init__(self, folder: Path, words: list[str], environment: dict[str, str]) -> None:
        self.log = folder / f"{words[0]}-{secrets.token_hex(2)}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*MILLRACE, *words], cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log
            )
        self.pid = self._process.pid

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, pattern: str, timeout_s: float = READY_S) -> re.Match[str]:
        """The first match in what it said; raises AssertionError with all of that when it does not come."""
        end = time.monotonic() + timeout_s
        while (found := re.search(pattern, self.said)) is None:
            if time.monotonic() > end or self._process.poll() is not None:
                raise AssertionError(f"{pattern!r} was never said:\n{self.said}")
            time.sleep(0.05)
        return found

    def client(self) -> httpx.Client:
        """A client of this gateway."""
        url = self.until(r"listening on (http://\S+)")[1]
        return httpx.Client(base_url=url, timeout=60.0, trust_env=False)

    def kill(self) -> None:
        """SIGKILL it and its replicas, as a machine that loses power does."""
        family = [self._process.pid, *(each.pid for each in psutil.Process(self._process.pid).children(recursive=True))]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        self._process.terminate()
        return self._process.wait(timeout_s)

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()


class Fleet:
    """Machines that share a broker and a database."""

    def __init__(self, folder: Path, broker: str, database: str | None, project: str = PROJECT, app: str = APP) -> None:
        self._folder = folder
        self._project, self._app = project, app
        self.environment = {"MILLRACE_BROKER": broker} | ({} if database is None else {"MILLRACE_DATABASE": database})
        self._processes: list[Process] = []

    def machine(self, name: str) -> Path:
        """A folder with the project, and nothing that another machine has."""
        folder = self._folder / name
        if not folder.exists():
            folder.mkdir()
            (folder / "millrace.yml").write_text(self._project)
            (folder / "app.py").write_text(self._app)
        return folder

    def start(self, machine: str, *words: str) -> Process:
        """Start a command on a machine."""
        process = Process(self.machine(machine), list(words), self.environment)
        self._processes.append(process)
        return process

    def ask(self, machine: str, *words: str) -> str:
        """What a command prints there."""
        done = self._run(machine, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, machine: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MILLRACE, *words],
            cwd=self.machine(machine),
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )

    def fails(self, machine: str, *words: str) -> str:
        """What a command that fails says there."""
        done = self._run(machine, *words)
        assert done.returncode == 1, done
        return done.stderr

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.close()
        if error is not None:
            for process in self._processes:
                print(f"---- {process.log}\n{process.said[-3000:]}")


def results(client: httpx.Client, ids: list[str], wait_s: int = 60) -> list[dict[str, Any]]:
    """The records of messages, once they are finished."""
    found = []
    for id in ids:
        end = time.monotonic() + wait_s
        while (record := client.get(f"/results/{id}", params={"wait": 30}).json()).get("state") not in ("done", "dead"):
            assert time.monotonic() < end, f"{id} is not finished: {record}"
        found.append(record)
    return found


def until_accepted(client: httpx.Client, path: str, body: object, wait_s: int = 60) -> str:
    """The id of a message that was put as soon as the gateway could."""
    end = time.monotonic() + wait_s
    while (answer := client.post(path, json=body)).status_code != 202:
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)
    id: str = answer.json()["id"]
    return id


def until_ready(client: httpx.Client, status: int, wait_s: int = 60) -> None:
    """Wait until /readyz answers with a status: what is away is asked every few seconds."""
    end = time.monotonic() + wait_s
    while (answer := client.get("/readyz")).status_code != status:
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)
