"""`millrace demo`: the digits project under fire, and a table of what became of every file."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.options import JsonOption
from millrace.cli.output import note, print_json, print_table
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.demo.report import Report

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Where to work: an empty or new folder; else a temporary one.")
]


def demo(folder: FolderOption = None, json: JsonOption = False) -> None:
    """Train a model that reads digits, serve it, post 898 scans while things break, and count what became of them.

    Exit code 0 only when nothing is lost or doubled, just the three broken files are dead, each for its own reason,
    and more than 95 % of the scans were read rightly. Ends within a minute; the folder with the results stays.
    """
    from millrace.demo.scratch import require_extra

    require_extra()
    place = _place(folder)
    try:
        report = asyncio.run(_run(place))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(place, ignore_errors=True)
        note(f"interrupted; stopped the server and removed {place}")
        raise KeyboardInterrupt from None
    _print(report, place, json)
    raise typer.Exit(0 if report.passed else 1)


def _place(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="millrace-demo-")).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MillraceError(f"{folder} is not an empty folder", "name a new one, or leave --folder out")
    return folder.resolve()


async def _run(place: Path) -> Report:
    from millrace.demo.progress import Progress
    from millrace.demo.run import run_demo

    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with Progress() as stage:
        stage.say(f"working in {place}")
        return await run_demo(place, stage)


def _print(report: Report, place: Path, json: bool) -> None:
    from millrace.demo.report import lines

    rows = lines(report)
    if json:
        print_json([_as_json(report, place)])
    else:
        print_table(rows, {"what": "files", "value": "count", "remark": "remark"})
        _say_where(place)
    for fault in report.faults:
        note(f"FAILED: {fault}")
    if report.passed:
        note("Passed: nothing lost or doubled; three files dead, each for its own reason.")


def _as_json(report: Report, place: Path) -> dict[str, Any]:
    import msgspec

    return {**msgspec.to_builtins(report), "passed": report.passed, "folder": str(place)}


def _say_where(place: Path) -> None:
    typer.echo(f"The results are in {place}; look at them with")
    for command in ("table scan predictions", "dead list digits", "logs read"):
        typer.echo(f"  millrace {command} --project {place}")
