"""millrace: `millrace worker` on the queue, with its settings as they are, or without the memory of ids."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks import mill
from benchmarks.workers.hundreds import hundreds
from benchmarks.workers.seen import MARK, Seen
from millrace.app.brokers import open_broker
from millrace.broker import Queue
from millrace.clock import SystemClock
from millrace.ids import new_id
from millrace.types import Message, Put

_POLL_S = 0.02
_END_S = 60.0


def sample(url: str, queue: str, payload: str) -> None:
    produce(url, queue, [payload])


def produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    """Messages as they come, a hundred at once on their way."""
    asyncio.run(_produce(url, queue, payloads))


async def _produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    broker = await open_broker(url, clock=SystemClock())
    await broker.declare([Queue(queue)])
    for some in hundreds(payloads):
        await broker.put([Put(queue, Message(new_id(), text.encode())) for text in some])
    await broker.close()


def consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    with mill.scratch() as folder:
        _write(folder, queue, settings)
        worker = subprocess.Popen(
            [sys.executable, "-m", "millrace", "worker"],
            cwd=folder,
            env={**os.environ, "MILLRACE_BROKER": url},
            stdout=sys.stderr,
            stdin=subprocess.DEVNULL,
        )
        try:
            _follow(folder / "notes.log", worker, seen)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(_END_S)


def _write(folder: Path, queue: str, settings: Mapping[str, int]) -> None:
    batch = {"batch": {"size": settings["prefetch"], "wait": "5ms"}} if "prefetch" in settings else {}
    project = {
        "service": "benchmark",
        "queues": {queue: {"lease": "60s", "dedupe": f"{settings.get('dedupe', 86400)}s"}},
        "functions": {
            "run": {
                "model": "noting.Noting",
                "events": [{"queue": queue}],
                **batch,
            }
        },
    }
    (folder / "millrace.yml").write_text(json.dumps(project))
    shutil.copy(mill.MODELS / "noting.py", folder)


def _follow(path: Path, worker: subprocess.Popen[bytes], seen: Seen) -> None:
    """Pass on what the model notes, until all was seen. Raises RuntimeError when the worker ends first."""
    while not path.exists() and worker.poll() is None:
        time.sleep(_POLL_S)
    with path.open() as notes:
        begun = ""  # a line of which the end is not yet there
        while not seen.complete.is_set():
            if worker.poll() is not None:
                raise RuntimeError(f"millrace worker ended with {worker.returncode}")
            *lines, begun = (begun + notes.read()).split("\n")
            for line in lines:
                seen.note(line[:MARK], float(line[MARK:]))
            if not lines:
                time.sleep(_POLL_S)
