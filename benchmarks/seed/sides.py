"""Both services, process by process, on one queue and in one folder with the trained model."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pika

from benchmarks.page import ROOT
from benchmarks.served import free_port, served, started

QUEUE = "task_queue"
KEPT_MS = 600_000
NOTES = "notes.log"  # of reader.py
_HERE = Path(__file__).resolve().parent
_DIGITS = ROOT / "examples" / "digits"
_POLL_S = 0.02
_PATIENCE_S = 300.0
_PROJECT = {
    "service": "seed",
    "queues": {
        QUEUE: {
            "lease": "60s",
            "codec": {"format": "protobuf", "file": "AIMessage.proto", "type": "AIMessage", "body": "imgbuffer"},
        }
    },
    "functions": {
        "read": {
            "model": "reader.Noted",
            "events": [{"queue": QUEUE}, {"http": "POST /dg"}],
            "batch": {"size": 100, "wait": "5ms"},
        }
    },
}


class Site(msgspec.Struct, frozen=True):
    """Where both run, and their broker."""

    folder: Path
    broker: str

    @property
    def images(self) -> Path:
        return self.folder / "held-out"


def prepare(site: Site) -> None:
    """Train examples/digits' reader on scikit-learn's scans, and put beside it what the services import."""
    for path in (_DIGITS / "app.py", _DIGITS / "train.py", _HERE / "reader.py", _HERE / "AIMessage.proto"):
        shutil.copy(path, site.folder)
    (site.folder / "millrace.yml").write_text(json.dumps(_PROJECT))
    _ran(site, "train.py")
    _ran(site, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "AIMessage.proto")


@contextlib.contextmanager
def flask(site: Site, *, threaded: bool) -> Iterator[int]:
    """The port of the intake by hand."""
    port = free_port()
    command = _module("intake", site.broker, QUEUE, str(port), *(["threaded"] if threaded else []))
    with served(command, f"http://127.0.0.1:{port}/", site.folder, _environment(site)):
        yield port


@contextlib.contextmanager
def gateway(site: Site) -> Iterator[int]:
    """The port of `millrace gateway`."""
    port = free_port()
    command = [sys.executable, "-m", "millrace", "gateway", "--port", str(port)]
    with served(command, f"http://127.0.0.1:{port}/", site.folder, _environment(site)):
        yield port


@contextlib.contextmanager
def consumer(site: Site) -> Iterator[None]:
    """The consumer by hand and the model server that it asks, attached."""
    port = free_port()
    environment = _environment(site)
    with (
        served(_module("model_server", str(port)), f"http://127.0.0.1:{port}/", site.folder, environment),
        started(_module("consumer", site.broker, QUEUE, str(port)), site.folder, environment) as (process, log),
    ):
        _attached(site, process, log)
        yield


@contextlib.contextmanager
def worker(site: Site) -> Iterator[None]:
    """`millrace worker`, attached."""
    command = [sys.executable, "-m", "millrace", "worker"]
    with started(command, site.folder, _environment(site)) as (process, log):
        _attached(site, process, log)
        yield


def empty_queue(site: Site) -> None:
    """The queue as the design by hand declares it, without a message; no notes."""
    (site.folder / NOTES).unlink(missing_ok=True)
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(site.broker))) as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=True, arguments={"x-message-ttl": KEPT_MS})


def waiting(site: Site) -> tuple[int, int]:
    """Messages that wait in the queue, and its consumers."""
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(site.broker))) as connection:
        queue = connection.channel().queue_declare(QUEUE, passive=True).method
        return queue.message_count, queue.consumer_count


def posted(site: Site, port: int, count: int) -> tuple[float, float]:
    """Post `count` images; when it began and ended, in Unix seconds."""
    command = _module("crowd", str(port), str(count), str(site.images))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"posting failed: {done.stderr[-1000:]}")
    began, ended = json.loads(done.stdout)
    return began, ended


def read_at(site: Site, count: int) -> float:
    """When `count` images had been read, in Unix seconds. Raises RuntimeError when it takes too long."""
    notes = site.folder / NOTES
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at:
        # A line is two bytes: a digit and its end.
        if notes.exists() and notes.stat().st_size >= 2 * count:
            return notes.stat().st_mtime
        time.sleep(_POLL_S)
    raise RuntimeError(f"not all of {count} images were read")


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.seed.{name}", *arguments]


def _ran(site: Site, *arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=site.folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-1000:]}")


def _environment(site: Site) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(site.folder)])
    return {**os.environ, "PYTHONPATH": path, "MILLRACE_BROKER": site.broker}


def _attached(site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at and process.poll() is None:
        if waiting(site)[1]:
            return
        time.sleep(_POLL_S)
    raise RuntimeError(f"no consumer came: {log.read_text(errors='replace')[-1000:]}")
