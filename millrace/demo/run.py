"""The demonstration from beginning to end: train, start, post, break, count. Always stops what it started."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx

from millrace.demo.audit import read_evidence
from millrace.demo.counters import Counters
from millrace.demo.load import Crowd, plan
from millrace.demo.report import Report, count
from millrace.demo.scratch import FRAGILE_MODEL, Scan, copy_project, read_scans, train
from millrace.demo.spoilt import spoil
from millrace.errors import MillraceError
from millrace.server_process import ServerProcess

LIMIT_S = 55.0
_KILL_AT = (0.3, 0.6)  # shares of the scans accepted at which a replica is killed


class Stage(Protocol):
    """Where the demo says how far it is."""

    def say(self, text: str) -> None:
        """A step was made."""
        ...

    def progress(self, accepted: int, answered: int, total: int) -> None:
        """So many files of all are accepted, so many are answered."""
        ...


async def run_demo(folder: Path, stage: Stage, limit_s: float = LIMIT_S) -> Report:
    """Run it in `folder`, which is made; raises MillraceError when it cannot be carried out within limit_s."""
    began = time.monotonic()
    copy_project(folder)
    try:
        async with asyncio.timeout(limit_s):
            stage.say(await train(folder))
            return await _under_fire(folder, stage)
    except TimeoutError:
        raise MillraceError(
            f"the demo did not end within {time.monotonic() - began:.0f} s",
            f"what the server said: {folder}/server.log",
        ) from None
    except ExceptionGroup as group:
        raise _first_of(group) from group


async def _under_fire(folder: Path, stage: Stage) -> Report:
    scans = read_scans(folder)
    spoilt = spoil(scans[0].body)
    server = await ServerProcess.start(folder, ["--set", f"functions.read.model={FRAGILE_MODEL}"])
    try:
        stage.say(f"millrace up listens on {server.url}, process {server.pid}")
        async with httpx.AsyncClient(trust_env=False) as client:
            await server.wait_ready(client)
            killer = Killer(server, [int(share * len(scans)) for share in _KILL_AT])
            total = len(scans) + len(spoilt)
            crowd = Crowd(server.url, _both(killer, lambda crowd: _show(stage, crowd, total)))
            await crowd.run(plan(scans, spoilt))
            counters = Counters.read((await client.get(f"{server.url}/metrics")).text)
        stage.say("every accepted file has an answer; stopping the server with SIGTERM")
        exit_code = await server.stop()
    finally:
        await server.kill()
    evidence = await read_evidence(
        folder,
        crowd,
        counters,
        digits=_digits(scans),
        spoilt=spoilt,
        killed=killer.killed,
        exit_code=exit_code,
    )
    return count(evidence)


class Killer:
    """Kills a replica with SIGKILL each time so many files have been accepted."""

    def __init__(self, server: ServerProcess, at: list[int]) -> None:
        self.killed: list[int] = []
        self._server = server
        self._at = at

    def __call__(self, crowd: Crowd) -> None:
        if self._at and len(crowd.acceptances) >= self._at[0] and (pid := self._server.kill_replica()):
            self.killed.append(pid)
            self._at.pop(0)


def _both(first: Callable[[Crowd], None], second: Callable[[Crowd], None]) -> Callable[[Crowd], None]:
    def notice(crowd: Crowd) -> None:
        first(crowd)
        second(crowd)

    return notice


def _show(stage: Stage, crowd: Crowd, total: int) -> None:
    stage.progress(min(total, len(crowd.acceptances)), len(crowd.answers), total)


def _digits(scans: list[Scan]) -> dict[str, int]:
    return {scan.name: scan.digit for scan in scans}


def _first_of(group: ExceptionGroup[Exception]) -> BaseException:
    """The error that a person should see of a group: millrace's own, or what went wrong with HTTP in its words."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            return _first_of(error)
        if isinstance(error, MillraceError):
            return error
        if isinstance(error, httpx.HTTPError):
            return MillraceError(f"the server could not be reached: {error!r}", "see server.log")
    return group
