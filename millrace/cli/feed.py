"""`feed`: files and folders into a queue, lazily, with a progress bar; Ctrl-C stops, the same command goes on."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.options import Choice, JsonOption, chooses_project
from millrace.cli.output import note, print_table
from millrace.cli.session import with_backend

if TYPE_CHECKING:
    from millrace.app import Backend
    from millrace.config.schema import Project
    from millrace.feeds import Bad, Progress, Reader

_INTERRUPTED = 130


@chooses_project()
def feed(
    choice: Choice,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="A queue of the project.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="CSV, TSV, NDJSON, text, Parquet, folders.")],
    format: Annotated[
        str | None, typer.Option("--format", help="csv, tsv, ndjson, text or parquet, where the name does not say.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Report lines that cannot be read, and go on.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Send all of it once more, under new ids.")] = False,
    json: JsonOption = False,
) -> None:
    """Stream files into a queue: a row, a line or a file of a folder is one message.

    Rows become JSON objects named by the header. Nothing is read before it is needed, and a full queue is
    waited for. After Ctrl-C or a crash the same command goes on where it stopped, and no item is sent twice: its id
    is made of the file, its place in it and its content.
    """
    from millrace.config.names import check_queue
    from millrace.feeds import open_reader

    found = choice.load()
    check_queue(found, queue)
    readers = [open_reader(path, format, max_bytes=found.gateway.max_body) for path in files]
    rows, stopped = with_backend(found, lambda backend: _feed_all(found, backend, queue, readers, skip_bad, again))
    print_table(rows, ("file", "sent", "known", "skipped", "state"), json)
    if stopped:
        note("stopped; the same command goes on from here")
        raise typer.Exit(_INTERRUPTED)


async def _feed_all(
    project: Project, backend: Backend, queue: str, readers: list[Reader], skip_bad: bool, again: bool
) -> tuple[list[dict[str, Any]], bool]:
    from millrace.clock import SystemClock
    from millrace.feeds import Checkpoints, Feeder

    checkpoints = Checkpoints(project.state / "feeds")
    fifo = queue in project.queues and project.queues[queue].fifo
    rows: list[dict[str, Any]] = []
    stop = Stop()
    for reader in readers:
        if stop.asked:
            break
        with _shown(reader) as show:
            feeder = Feeder(
                reader,
                queue,
                backend.broker.put,
                checkpoints,
                SystemClock(),
                again=again,
                group=reader.path.name if fifo else "",
                on_bad=_tell_bad if skip_bad else None,
                on_progress=show,
            )
            _tell_start(reader, feeder.progress)
            with stop.calling(feeder.stop):
                progress = await feeder.run()
            rows.append(_row(reader, progress))
            if progress.resumed and progress.finished and not progress.sent:
                note(f"{reader.path}: nothing new since it was fed; --again sends all of it once more")
    return rows, stop.asked


class Stop:
    """The first SIGINT or SIGTERM calls what is being run to its end; the second one ends the process."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def calling(self, stop: Callable[[], None]) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def ask() -> None:
            self.asked = True
            stop()
            self._release(loop)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ask)
        try:
            yield
        finally:
            self._release(loop)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _tell_start(reader: Reader, progress: Progress) -> None:
    if progress.changed:
        note(f"{reader.path} has changed since it was fed: read from its beginning; what is known is not sent again")
    elif progress.resumed:
        note(f"{reader.path}: goes on where the last feed stopped")


def _tell_bad(bad: Bad) -> None:
    note(f"{bad.where}: {bad.problem}")


def _row(reader: Reader, progress: Progress) -> dict[str, Any]:
    return {
        "file": str(reader.path),
        "sent": progress.sent,
        "known": progress.known,
        "skipped": progress.skipped,
        "state": "finished" if progress.finished else "stopped",
    }


@contextmanager
def _shown(reader: Reader) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on standard error where a person looks; elsewhere only a line when the queue is full."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    told = False

    def show(progress: Progress) -> None:
        nonlocal told
        if progress.waiting and not told:
            note("the queue is full: waiting for room")
            told = True
        bars.update(task, completed=progress.cursor.offset, sent=progress.sent + progress.known)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[sent]:,} items"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Bars(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task(reader.path.name, total=reader.total, sent=0)
        yield show
