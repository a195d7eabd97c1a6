"""E_model: how much of a model's own speed is left behind a queue: a backlog of JPEGs, 20 ms a batch or more."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import mill
from benchmarks.measured import Figure, alternate, per_s
from benchmarks.models.vision import Photographs
from benchmarks.vision import SIDE, jpegs, make_network

WHAT = "backlog of JPEGs to durable result, over bare predict(batch) of the same inputs"
BATCH = 16
BLOCKS = 8


def measure(quick: bool) -> list[Figure]:
    repeats, count = (1, 320) if quick else (5, 1600)
    files = jpegs(count, SIDE)
    with mill.scratch() as folder:
        model = bare_model(folder, BLOCKS)
        batches = prepared(model, files)
        ratios, ours, bare = alternate(repeats, lambda: through_mill(files, BLOCKS, 1), lambda: serial(model, batches))
    batch_ms = BATCH / statistics.median(bare) * 1000
    remark = f"{per_s(ours)} over {per_s(bare)}, predict {batch_ms:.0f} ms a batch of {BATCH}"
    return [Figure("E_model", WHAT, ratios, "at least", 0.95, remark=remark)]


def bare_model(folder: Path, blocks: int) -> Photographs:
    """The model in this process, with its network in `folder`."""
    path = folder / "network.onnx"
    make_network(path, blocks)
    model = Photographs()
    model.load(path)
    return model


def prepared(model: Photographs, files: list[bytes]) -> list[list[Any]]:
    """The inputs of every batch, preprocessed."""
    inputs = [model.preprocess(mill.Message("", body)) for body in files]
    return [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]


def serial(model: Photographs, batches: list[list[Any]]) -> float:
    """Items a second of `for batch: predict(batch)`."""
    began = time.perf_counter()
    for batch in batches:
        model.predict(batch)
    return sum(map(len, batches)) / (time.perf_counter() - began)


def through_mill(files: list[bytes], blocks: int, replicas: int) -> float:
    """Items a second of millrace from a backlog, between its first and last commit."""
    with mill.scratch() as folder:
        function = {"batch": {"size": BATCH, "wait": "50ms"}, "replicas": replicas, "threads": 2}
        mill.write_project(folder, "vision.Photographs", function)
        make_network(folder / "network.onnx", blocks)
        return asyncio.run(_drain(folder, files, replicas))


async def _drain(folder: Path, files: list[bytes], replicas: int) -> float:
    async with mill.opened(folder) as backend:
        work = mill.messages(files)
        await mill.put_all(backend, work)
        async with mill.up(folder, ready=False):
            return await mill.drain_rate(backend, work, BATCH, replicas)
