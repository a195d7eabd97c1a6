"""`queues`, `peek` and `purge`: what waits, and making it go away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.options import Choice, JsonOption, chooses_project
from millrace.cli.output import build_table, print_json, print_table
from millrace.cli.session import with_backend, with_queue
from millrace.cli.shown import age, ago, message_fields, preview, room

if TYPE_CHECKING:
    from millrace.app import Backend

QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", help="A queue of the project, or its QUEUE.dead.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_BESIDE_BODY = 34  # the widths of state, tries and age, and what separates columns
_FIELDS = ("queue", "depth", "in_flight", "delayed", "dead", "oldest_age_s")
_HEADINGS = {**{name: name.replace("_", " ") for name in _FIELDS[:5]}, "oldest": "oldest"}


@chooses_project()
def queues(
    choice: Choice,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing them until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between two looks.")] = 1.0,
    json: JsonOption = False,
) -> None:
    """Show the queues: messages that wait, are being worked on, wait for their time, and are dead.

    With --watch and --json each look is one array on a line of its own.
    """
    from millrace.config.names import all_queues, call_queues

    found = choice.load()
    names = all_queues(found)

    async def look(backend: Backend) -> None:
        if found.aws is not None:
            names.extend(await _made(backend, names))
        names.extend(await _present(backend, [name for name in call_queues(found) if name not in names]))
        if watch:
            await _watch(backend, names, interval, json)
        else:
            _print(await _rows(backend, names), json)

    with_backend(found, look)


async def _made(backend: Backend, names: list[str]) -> list[str]:
    """Queues that are there without being in the project file: made through AWS's API."""
    from millrace.broker import DEAD_SUFFIX

    return [name for name in await backend.broker.queues() if not name.endswith(DEAD_SUFFIX) and name not in names]


async def _present(backend: Backend, names: list[str]) -> list[str]:
    """Those of some queues that the broker has; nothing is made by looking."""
    from millrace.errors import UnknownQueue

    found = []
    for name in names:
        with suppress(UnknownQueue):
            await backend.broker.stats(name)
            found.append(name)
    return found


async def _rows(backend: Backend, names: list[str]) -> list[dict[str, Any]]:
    return [{field: getattr(stats, field) for field in _FIELDS} for stats in await _stats(backend, names)]


async def _stats(backend: Backend, names: list[str]) -> list[Any]:
    return [await backend.broker.stats(name) for name in names]


def _print(rows: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json(rows)
    else:
        print_table(_readable(rows), _HEADINGS)


def _readable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "oldest": age(row["oldest_age_s"]) if row["oldest_age_s"] else None} for row in rows]


async def _watch(backend: Backend, names: list[str], interval_s: float, json: bool) -> None:
    if json:
        while True:
            print_json(await _rows(backend, names))
            await asyncio.sleep(interval_s)
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        while True:
            live.update(build_table(_readable(await _rows(backend, names)), _HEADINGS), refresh=True)
            await asyncio.sleep(interval_s)


@chooses_project()
def peek(
    choice: Choice,
    queue: QueueArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Most messages to show.")] = 10,
    id: Annotated[list[str] | None, typer.Option("--id", help="Show just this message. Repeatable.")] = None,
    json: JsonOption = False,
) -> None:
    """Look at a queue's messages, oldest first, without taking them."""
    ids = id or None
    found = with_queue(choice, queue, lambda backend: backend.broker.peek(queue, limit, ids=ids))
    if json:
        print_json([message_fields(peeked) for peeked in found])
        return
    width = room((peeked.message.id for peeked in found), _BESIDE_BODY)
    rows = [
        {
            "id": peeked.message.id,
            "state": peeked.state.replace("_", " "),
            "tries": peeked.attempts,
            "age": ago(peeked.message.sent_at),
            "body": preview(peeked.message.body, width),
        }
        for peeked in found
    ]
    print_table(rows, ("id", "state", "tries", "age", "body"))


@chooses_project()
def purge(
    choice: Choice,
    queue: QueueArgument,
    yes: YesOption = False,
) -> None:
    """Delete every message of a queue that is not being worked on; its dead letters stay."""
    purge_queue(choice, queue, queue, None, yes)


def purge_queue(choice: Choice, name: str, queue: str, ids: list[str] | None, yes: bool) -> None:
    """Ask, delete, and say how many it were."""

    async def delete(backend: Backend) -> int | None:
        stats = await backend.broker.stats(name)
        count = len(ids) if ids else stats.dead if queue != name else stats.depth + stats.delayed
        what = f"{count:,} {'message' if count == 1 else 'messages'} of {queue!r}"
        if not yes and not typer.confirm(f"Delete {what}? They cannot be brought back.", err=True):
            return None
        return await backend.broker.purge(queue, ids)

    deleted = with_queue(choice, queue, delete)
    if deleted is None:
        raise typer.Abort
    typer.echo(f"{deleted:,} deleted from {queue!r}")
