"""Reads what is on disk once the server has stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from millrace.app import Backend, open_backend
from millrace.broker import dead_letters
from millrace.demo.counters import Counters
from millrace.demo.load import Crowd
from millrace.demo.report import Evidence
from millrace.demo.spoilt import Spoilt
from millrace.formats.load import load
from millrace.types import Death

QUEUE = "digits"
TABLE = "predictions"
_PAGE = 1000


async def read_evidence(
    folder: Path,
    crowd: Crowd,
    counters: Counters,
    *,
    digits: Mapping[str, int],
    spoilt: Sequence[Spoilt],
    killed: Sequence[int],
    exit_code: int,
) -> Evidence:
    """Open the project's data, with no server running, and put everything that is known together."""
    backend = await open_backend(load(folder))
    try:
        return Evidence(
            accepted=[(acceptance.id, acceptance.name) for acceptance in crowd.acceptances],
            digits=digits,
            spoilt=spoilt,
            states=await _states(backend, {acceptance.id for acceptance in crowd.acceptances}),
            rows=await _rows(backend),
            deaths=await _deaths(backend),
            left=await _left(backend),
            settled=counters.settled,
            latencies_s=_latencies_s(crowd, counters.commit_s),
            elapsed_s=_elapsed_s(crowd),
            batch_sizes=counters.batch_sizes,
            releases=counters.releases,
            killed=killed,
            exit_code=exit_code,
        )
    finally:
        await backend.close()


async def _states(backend: Backend, ids: set[str]) -> dict[str, str]:
    records = {id: await backend.results.get(id) for id in ids}
    return {id: record.state for id, record in records.items() if record is not None}


async def _rows(backend: Backend) -> dict[str, int]:
    table = backend.tables[TABLE]
    found: dict[str, int] = {}
    after: str | None = None
    while page := await table.scan(after=after, limit=_PAGE):
        for row in page:
            value: dict[str, Any] = msgspec.json.decode(row.value)
            found[row.key] = value["digit"]
        after = page[-1].key
    return found


async def _deaths(backend: Backend) -> dict[str, Death]:
    letters = await backend.broker.peek(dead_letters(QUEUE), limit=_PAGE)
    return {letter.message.id: letter.death for letter in letters if letter.death is not None}


async def _left(backend: Backend) -> int:
    stats = await backend.broker.stats(QUEUE)
    return stats.depth + stats.in_flight + stats.delayed


def _elapsed_s(crowd: Crowd) -> float:
    """From the first file accepted to the last one read."""
    done = [record for record in crowd.answers.values() if record["state"] == "done"]
    if not done:
        return 0.0
    return float(max(record["finished_at"] for record in done) - min(record["accepted_at"] for record in done))


def _latencies_s(crowd: Crowd, commit_s: float) -> list[float]:
    """By the records' own times: `finished_at` is taken before the commit, so the commit's mean duration is added."""
    done = [record for record in crowd.answers.values() if record["state"] == "done"]
    return [record["finished_at"] - record["accepted_at"] + commit_s for record in done]
