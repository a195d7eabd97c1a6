"""`move-queue`: a queue's messages from one broker to another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.options import Choice, chooses_project
from millrace.cli.output import note, print_json
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.app.moving import Moved
    from millrace.config.schema import Project


@chooses_project()
def move_queue(
    choice: Choice,
    source: Annotated[str, typer.Argument(metavar="QUEUE", help="A queue of the project.")],
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The broker that gets the messages, or embedded.")],
    start: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="The broker that has them, or embedded; else --broker.")
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="The queue that gets them, if by another name.")] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait for what is delayed or being worked on.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of lines.")] = False,
) -> None:
    """Move a queue's messages and dead letters to another broker, without loss.

    Each is put and confirmed there before it is deleted here. It keeps its id, so that one which was moved twice, since
    the command was killed, has its effect once. The same command again goes on with what is left. Attempts
    are counted on, but begin anew on Redis; why a dead letter died goes with it.
    """
    from millrace.broker import DEAD_SUFFIX
    from millrace.config.names import check_queue

    found = choice.load()
    target = queue or source
    for name in (source, target):
        if name.endswith(DEAD_SUFFIX):
            raise MillraceError(f"{name!r} holds dead letters, which go with their queue", "name the queue itself")
        check_queue(found, name)
    here, there = _url(start) if start else found.broker, _url(to)
    if source == target and _is_one(here, there):
        raise MillraceError("the messages are there already", "expected another broker in --to, or another --queue")
    moved = asyncio.run(_move(found, (here, source), (there, target), wait))
    _print(moved, source, target, json)
    if moved.hidden or moved.in_flight or moved.unsure:
        raise typer.Exit(1)


def _url(text: str) -> str | None:
    from millrace.known_brokers import EMBEDDED

    return None if text == EMBEDDED else text


def _is_one(here: str | None, there: str | None) -> bool:
    """Whether two URLs are one broker's; one that is unknown is refused when it is opened."""
    from millrace.known_brokers import known_broker

    if here is None or there is None:
        return here is there
    known, other = known_broker(here), known_broker(there)
    return known is not None and known is other and known.address(here).is_at(known.address(there))


async def _move(project: Project, source: tuple[str | None, str], target: tuple[str | None, str], wait_s: float) -> Any:
    from rich.console import Console

    from millrace.app.moving import Mover, opened
    from millrace.clock import SystemClock
    from millrace.config.fleet import keeps_bodies_here

    clock, there_url = SystemClock(), target[0]
    async with opened(project, *source, clock) as here, opened(project, *target, clock) as there:
        with Console(stderr=True).status("moving") as status:
            mover = Mover(
                here, source[1], there, target[1], clock, lambda moved: status.update(f"{moved.messages:,} moved")
            )
            moved = await mover.run(wait_s)
    if there_url is not None and keeps_bodies_here(project, there_url, mover.largest):
        note(
            "bodies too large for that broker wait in a folder of this machine, which others do not see; where they "
            "work, move all back, set `bodies: s3://BUCKET/PREFIX` in the project file, and move it there again"
        )
    return moved


def _print(moved: Moved, source: str, target: str, json: bool) -> None:
    if json:
        print_json({name: getattr(moved, name) for name in moved.__struct_fields__})
        return
    known = f", {moved.known:,} of them known there already" if moved.known else ""
    typer.echo(f"{moved.messages:,} messages of {source!r} are in {target!r}{known}; {moved.dead:,} dead letters")
    if moved.hidden or moved.in_flight:
        behind = f", {moved.behind:,} behind them in their message groups" if moved.behind else ""
        note(
            f"left: {moved.hidden:,} that are delayed, {moved.in_flight:,} that somebody works on{behind}; "
            "the same command again, or --wait, moves them"
        )
    if moved.unsure:
        note(
            f"left: {moved.unsure:,} whose ids the other broker still remembers, so that it would not take them; "
            "the same command moves them in some minutes"
        )
