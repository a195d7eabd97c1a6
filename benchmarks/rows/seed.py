"""A published design for images through RabbitMQ, by hand, against millrace on the same queue with the same model.

See benchmarks/seed: Flask with one blocking publish a request; a consumer with prefetch 1 that posts each image to a
model server. The model is examples/digits', trained here; the images are scans of scikit-learn that it has not seen.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec

from benchmarks import mill
from benchmarks.measured import Figure, by_turns, per_s, skipped
from benchmarks.seed import sides
from benchmarks.workers import contest

INTAKE = "images posted over 64 connections into RabbitMQ, over Flask with one blocking publish a request"
AS_IT_STARTS = f"{INTAKE}, with threads, as app.run() starts it"
WITHOUT_THREADS = f"{INTAKE}, without threads"
WHOLE = "images posted, queued and read by a model, over Flask, a consumer with prefetch 1 and an HTTP model server"
SIDES = OURS, FLASK, SINGLE = "millrace", "Flask with threads", "Flask without"
_TARGETS = {
    "seed: intake": (AS_IT_STARTS, 5.0),
    "seed: intake, no threads": (WITHOUT_THREADS, 5.0),
    "seed": (WHOLE, 2.0),
}
_NEEDED = ("flask", "google.protobuf", "grpc_tools", "sklearn", "skl2onnx", "onnxruntime")

Rates = Mapping[str, Sequence[float]]


def measure(quick: bool) -> list[Figure]:
    if why := contest.missing() or _missing():
        return [skipped(name, what, "at least", target, why) for name, (what, target) in _TARGETS.items()]
    repeats, count = (1, 600) if quick else (3, 4_000)
    with contest.server() as broker, mill.scratch() as folder:
        site = sides.Site(folder, broker)
        sides.prepare(site)
        taken = by_turns(repeats, SIDES, lambda side: intake(site, side, count))
        done = by_turns(repeats, SIDES, lambda side: whole(site, side, count))
    return [
        figure("seed: intake", taken, FLASK),
        figure("seed: intake, no threads", taken, SINGLE),
        figure("seed", done, faster(done)),
    ]


def faster(rates: Rates) -> str:
    """The better of Flask's two servers."""
    return max((FLASK, SINGLE), key=lambda side: statistics.median(rates[side]))


def figure(name: str, rates: Rates, over: str) -> Figure:
    """Our rates over those of the design by hand under one of Flask's two servers."""
    what, target = _TARGETS[name]
    ratios = [mine / theirs for mine, theirs in zip(rates[OURS], rates[over], strict=True)]
    remark = ", ".join(f"{side} {per_s(each)}" for side, each in rates.items())
    return Figure(name, what, ratios, "at least", target, remark=remark)


def intake(site: sides.Site, side: str, count: int) -> float:
    """Images a second into a queue that nobody empties."""
    sides.empty_queue(site)
    with _front(site, side) as port:
        began, ended = sides.posted(site, port, count)
    if (stored := sides.waiting(site)[0]) != count:
        raise RuntimeError(f"{side}: {count} images were accepted, {stored} are in the queue")
    return count / (ended - began)


def whole(site: sides.Site, side: str, count: int) -> float:
    """Images a second from the first post to the last that was read."""
    sides.empty_queue(site)
    back = sides.worker(site) if side == OURS else sides.consumer(site)
    with back, _front(site, side) as port:
        began, _ = sides.posted(site, port, count)
        return count / (sides.read_at(site, count) - began)


def _front(site: sides.Site, side: str) -> AbstractContextManager[int]:
    return sides.gateway(site) if side == OURS else sides.flask(site, threaded=side == FLASK)


def _missing() -> str:
    gone = [name for name in _NEEDED if find_spec(name) is None]
    return f"{', '.join(gone)} not installed" if gone else ""
