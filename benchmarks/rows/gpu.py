"""E_model on a GPU: a torch vision model in bf16, batches of 32 to 512. Skipped where there is none."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from pathlib import Path

from benchmarks import mill
from benchmarks.measured import Figure, alternate, per_s, skipped

WHAT = "E_model on a GPU: a convolutional network in bf16"
SIZES = (32, 128, 512)
PIXELS_BYTES = 3 * 224 * 224


def measure(quick: bool) -> list[Figure]:
    if why := _missing():
        return [skipped("E_model, GPU", WHAT, "at least", 0.95, why)]
    return [_size(size, *((1, 10) if quick else (5, 60))) for size in SIZES]


def _missing() -> str:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    return "" if torch.cuda.is_available() else "no CUDA device"


def _size(size: int, repeats: int, batches: int) -> Figure:
    import numpy as np

    from benchmarks.models.gpu import Network

    random = np.random.default_rng(7)
    bodies = [random.integers(0, 256, PIXELS_BYTES, dtype=np.uint8).tobytes() for _ in range(64)] * (
        size * batches // 64
    )
    model = Network()
    model.load()
    inputs = [model.preprocess(mill.Message("", body)) for body in bodies[:64]] * (size // 64 + 1)
    ratios, ours, bare = alternate(
        repeats, lambda: asyncio.run(_through(bodies, size)), lambda: _serial(model, inputs[:size], batches)
    )
    remark = f"{per_s(ours)} over {per_s(bare)}, {size / bare[0] * 1000:.0f} ms a batch"
    return Figure(f"E_model, GPU, {size}", WHAT, ratios, "at least", 0.95, remark=remark)


def _serial(model: object, batch: list[object], batches: int) -> float:
    began = time.perf_counter()
    for _ in range(batches):
        model.predict(batch)  # type: ignore[attr-defined]
    return len(batch) * batches / (time.perf_counter() - began)


async def _through(bodies: list[bytes], size: int) -> float:
    with mill.scratch() as folder:
        function = {"batch": {"size": size, "wait": "50ms", "bytes": "200MB"}, "replicas": 1, "threads": 8}
        mill.write_project(folder, "gpu.Network", function)
        return await _drain(folder, bodies, size)


async def _drain(folder: Path, bodies: list[bytes], size: int) -> float:
    async with mill.opened(folder) as backend:
        work = mill.messages(bodies)
        await mill.put_all(backend, work)
        async with mill.up(folder, ready=False):
            return await mill.drain_rate(backend, work, size, 1)
