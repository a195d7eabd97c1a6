"""One run of one library on a queue of its own: filled beforehand, filled by its own producer, or fed at a rate."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pika
from pika.exceptions import ChannelClosedByBroker

from benchmarks.page import ROOT
from benchmarks.workers.pattern import pattern
from benchmarks.workers.preload import preload
from benchmarks.workers.seen import Handled

_PATIENCE_S = 300.0
_POLL_S = 0.05

Settings = Mapping[str, int]


def drained(library: str, url: str, count: int, size: int, settings: Settings) -> Handled:
    """A preloaded queue emptied by one worker."""
    with _queue(url) as (connection, queue):
        preload(library, url, queue, count, size)
        return _ended(_worker(library, url, queue, count, settings), connection, queue)


def together(library: str, url: str, count: int, size: int, settings: Settings) -> Handled:
    """A queue filled by the library's own producer process while one worker empties it."""
    with _queue(url) as (connection, queue):
        worker = _worker(library, url, queue, count, settings)
        _attached(worker, connection, queue)
        command = _command(library, "produce", url, queue, "--count", str(count), "--size", str(size))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            worker.kill()
            raise RuntimeError(f"{library}'s producer failed: {done.stderr[-1000:]}")
        return _ended(worker, connection, queue)


def fed(library: str, url: str, count: int, size: int, settings: Settings, rate_per_s: float = 0.0) -> Handled:
    """A worker given the library's messages at a steady rate (0: as fast as they can be sent) by a bare client."""
    with _queue(url) as (connection, queue):
        message = pattern(library, url, connection, queue, size)
        worker = _worker(library, url, queue, count, settings)
        _attached(worker, connection, queue)
        channel = connection.channel()
        began = time.monotonic()
        for number in range(count):
            if rate_per_s and (ahead_s := number / rate_per_s - (time.monotonic() - began)) > 0:
                time.sleep(ahead_s)
            message.publish(channel, number, size, time.time())
        return _ended(worker, connection, queue)


@contextlib.contextmanager
def _queue(url: str) -> Iterator[tuple[Any, str]]:
    """A connection and a new name; what has that name is deleted afterwards."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = 0  # nothing reads from it while a worker runs
    connection = pika.BlockingConnection(parameters)
    queue = f"bench-{secrets.token_hex(4)}"
    try:
        yield connection, queue
    finally:
        connection.channel().queue_delete(queue)
        connection.close()


def _command(library: str, doing: str, url: str, queue: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.workers", library, doing, "--url", url, "--queue", queue, *more]


def _worker(library: str, url: str, queue: str, count: int, settings: Settings) -> subprocess.Popen[str]:
    chosen = [word for name, number in settings.items() for word in ("--setting", f"{name}={number}")]
    command = _command(library, "consume", url, queue, "--count", str(count), *chosen)
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _attached(worker: subprocess.Popen[str], connection: Any, queue: str) -> None:
    """Return when the queue has a consumer. Raises RuntimeError when there will be none."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at and worker.poll() is None:
        try:
            if connection.channel().queue_declare(queue, passive=True).method.consumer_count:
                return
        except ChannelClosedByBroker:  # there is no such queue yet
            pass
        time.sleep(_POLL_S)
    worker.kill()
    raise RuntimeError(f"no consumer came: {worker.communicate()[1][-1000:]}")


def _ended(worker: subprocess.Popen[str], connection: Any, queue: str) -> Handled:
    """The worker's report. Raises RuntimeError when messages are lost, or were handled and not acknowledged."""
    try:
        output, errors = worker.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired as late:
        worker.terminate()  # millrace's ends its own children
        raise RuntimeError("messages were lost: they are not in the queue and were never handled") from late
    if worker.returncode:
        raise RuntimeError(f"a worker ended with {worker.returncode}: {errors[-1000:]}")
    handled = msgspec.json.decode(output.splitlines()[-1], type=Handled)
    left = connection.channel().queue_declare(queue, passive=True).method.message_count
    if left > handled.distinct // 10:
        raise RuntimeError(f"{left} of {handled.distinct} messages were handled and came back: not acknowledged")
    return handled
