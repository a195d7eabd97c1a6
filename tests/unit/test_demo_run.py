"""The demo's course of events where it does not go as it should, and what its command prints."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from millrace.cli import demo as command
from millrace.demo import run as module
from millrace.demo.load import Acceptance, Crowd
from millrace.demo.progress import Progress
from millrace.demo.report import Report
from millrace.demo.run import Killer, run_demo
from millrace.errors import MillraceError

REPORT = Report(
    accepted=901,
    repeated=23,
    done=898,
    dead=3,
    lost=0,
    duplicates=0,
    accuracy=0.989,
    images_per_s=500.0,
    p50_ms=12.0,
    p99_ms=200.0,
    deaths={"fuse.png": "ReplicaDied: exited (failed after 3 tries)"},
    batch_sizes={"1": 3},
    releases={"wait": 3},
    replicas_killed=2,
    faults=[],
)


class Quiet:
    def say(self, text: str) -> None: ...

    def progress(self, accepted: int, answered: int, total: int) -> None: ...


async def test_it_does_not_run_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "train", lambda _: asyncio.Event().wait())
    with pytest.raises(MillraceError, match="did not end within") as caught:
        await run_demo(tmp_path / "demo", Quiet(), limit_s=0.0)
    assert "server.log" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MillraceError("refused"), "refused"),
        (httpx.ReadError("broken"), "could not be reached"),
        (ExceptionGroup("inner", [MillraceError("deep")]), "deep"),
    ],
)
async def test_the_error_of_a_group_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    async def fail(_: Path) -> str:
        raise ExceptionGroup("tasks", [error])

    monkeypatch.setattr(module, "train", fail)
    with pytest.raises(MillraceError, match=told):
        await run_demo(tmp_path / "demo", Quiet())


async def test_an_error_of_ours_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Path) -> str:
        raise ExceptionGroup("tasks", [KeyError("bug")])

    monkeypatch.setattr(module, "train", fail)
    with pytest.raises(ExceptionGroup):
        await run_demo(tmp_path / "demo", Quiet())


class Targets:
    """Replicas to kill: none at first."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def kill_replica(self) -> int | None:
        return self.pids.pop() if self.pids else None


def test_a_replica_is_killed_at_each_mark_or_as_soon_as_there_is_one() -> None:
    targets: Any = Targets()
    killer = Killer(targets, [2, 3])
    crowd = Crowd("http://server")
    for number in range(4):
        crowd.acceptances.append(Acceptance(str(number), "name"))
        killer(crowd)
        if number == 1:
            targets.pids = [11, 12]
    assert killer.killed == [12, 11]


def test_the_table_says_where_the_results_lie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command._print(REPORT, tmp_path, json=False)
    out, err = capsys.readouterr()
    assert "accepted" in out
    assert "fuse.png" in out
    assert f"millrace dead list digits --project {tmp_path}" in out
    assert "Passed" in err


def test_a_failure_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(**{name: getattr(REPORT, name) for name in REPORT.__struct_fields__} | {"faults": ["2 lost"]})
    command._print(report, tmp_path, json=True)
    out, err = capsys.readouterr()
    assert '"passed": false' in out
    assert "FAILED: 2 lost" in err


def test_progress_without_a_terminal_prints_the_steps_alone() -> None:
    file = io.StringIO()
    with Progress(Console(file=file)) as stage:
        stage.say("a [step]")
        stage.progress(1, 0, 2)
    assert file.getvalue() == "a [step]\n"


def test_progress_on_a_terminal_draws_bars() -> None:
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=True, width=80)) as stage:
        stage.progress(1, 0, 2)
    assert "accepted" in file.getvalue()
    assert "1/2" in file.getvalue()
