"""E_pipe: decoding and resizing cost about as much as predict. Against one process that does one after the other."""

from __future__ import annotations

import time

from benchmarks import mill
from benchmarks.measured import Figure, alternate, per_s
from benchmarks.models.vision import Photographs
from benchmarks.rows.model import BATCH, bare_model, through_mill
from benchmarks.vision import jpegs

WHAT = "JPEG decode and resize as dear as predict, over the serial loop in one process"
SIDE = 384
BLOCKS = 4
REPLICAS = 2


def measure(quick: bool) -> list[Figure]:
    repeats, count = (1, 320) if quick else (5, 1600)
    files = jpegs(count, SIDE)
    with mill.scratch() as folder:
        model = bare_model(folder, BLOCKS)
        share = preprocess_share(model, files[:160])
        ratios, ours, bare = alternate(
            repeats, lambda: through_mill(files, BLOCKS, REPLICAS), lambda: serial(model, files)
        )
    remark = f"{per_s(ours)} over {per_s(bare)}, {share:.0%} of the serial time is preprocess"
    return [Figure("E_pipe", WHAT, ratios, "at least", 1.5, remark=remark)]


def serial(model: Photographs, files: list[bytes]) -> float:
    """Items a second of preprocess, predict, postprocess, one batch after the other."""
    began = time.perf_counter()
    for start in range(0, len(files), BATCH):
        inputs = [model.preprocess(mill.Message("", body)) for body in files[start : start + BATCH]]
        for output in model.predict(inputs):
            model.postprocess(output)
    return len(files) / (time.perf_counter() - began)


def preprocess_share(model: Photographs, files: list[bytes]) -> float:
    """How much of the serial loop's time preprocess takes."""
    began = time.perf_counter()
    for body in files:
        model.preprocess(mill.Message("", body))
    return (time.perf_counter() - began) * serial(model, files) / len(files)
