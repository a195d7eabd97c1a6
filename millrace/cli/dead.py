"""`dead list|show|redrive|purge`: messages that were given up, and what to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli import group
from millrace.cli.options import Choice, JsonOption, chooses_project
from millrace.cli.output import print_json, print_table
from millrace.cli.queues import YesOption, purge_queue
from millrace.cli.session import with_queue
from millrace.cli.shown import ago, failure_line, message_fields, moment, preview, printable, room, shorten
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.broker import Peeked
    from millrace.types import Death

app = group("List, show, redrive or purge dead letters.")

_BESIDE_ERROR = 25  # the widths of reason and age, and what separates columns
QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue whose dead letters are meant.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Just these.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list")
@chooses_project()
def list_dead(
    choice: Choice,
    queue: QueueArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="Most to show.")] = 50,
    json: JsonOption = False,
) -> None:
    """List a queue's dead letters, oldest first, with the reason of each."""
    name = _dead(queue)
    found = with_queue(choice, name, lambda backend: backend.broker.peek(name, limit))
    if json:
        print_json([message_fields(peeked) for peeked in found])
    else:
        width = room((peeked.message.id for peeked in found), _BESIDE_ERROR)
        print_table([_row(peeked, width) for peeked in found], ("id", "reason", "age", "error"))


def _row(peeked: Peeked, width: int) -> dict[str, Any]:
    death = _death(peeked)
    if death is None:  # sent there by hand
        return {"id": peeked.message.id}
    error = shorten(failure_line(death.failure), width)
    return {"id": peeked.message.id, "reason": death.reason, "age": ago(death.last_failed_at), "error": error}


@app.command()
@chooses_project()
def show(
    choice: Choice,
    queue: QueueArgument,
    id: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")],
    json: JsonOption = False,
) -> None:
    """Show one dead letter: its body, its attributes, its error with the traceback."""
    name = _dead(queue)
    found = with_queue(choice, name, lambda backend: backend.broker.peek(name, 1, ids=[id]))
    if not found:
        raise MillraceError(f"no dead letter {id!r} in {name!r}", f"there are: millrace dead list {queue}")
    if json:
        print_json([message_fields(found[0])])
    else:
        _print_letter(found[0])


def _death(peeked: Peeked) -> Death | None:
    """Why it died, here or in the broker from which it was moved."""
    from millrace.broker import DEATH_ATTRIBUTE
    from millrace.types import Death

    if peeked.death is not None or DEATH_ATTRIBUTE not in peeked.message.attributes:
        return peeked.death
    import msgspec

    try:
        return msgspec.json.decode(peeked.message.attributes[DEATH_ATTRIBUTE], type=Death)
    except msgspec.MsgspecError:
        return None


def _print_letter(peeked: Peeked) -> None:
    from millrace.broker import DEATH_ATTRIBUTE

    message, death = peeked.message, _death(peeked)
    lines = {"id": message.id, "sent": moment(message.sent_at)}
    lines |= {name: value for name, value in message.attributes.items() if name != DEATH_ATTRIBUTE}
    if death is not None:
        lines |= {
            "reason": death.reason,
            "error": failure_line(death.failure),
            "attempts": str(death.attempts),
            "first failed": moment(death.first_failed_at),
            "last failed": moment(death.last_failed_at),
            "function": f"{death.function} {death.version}".strip(),
        }
    lines["body"] = preview(message.body, 2000)
    for name, value in lines.items():
        typer.echo(printable(f"{name + ':':<14} {value}"))
    if death is not None and death.failure.traceback:
        typer.echo(printable(f"\n{death.failure.traceback.rstrip()}"))


@app.command()
@chooses_project()
def redrive(
    choice: Choice,
    queue: QueueArgument,
    ids: IdsArgument = None,
    all: AllOption = False,
) -> None:
    """Put dead letters back into their queue, with fresh attempts."""
    name = _dead(queue)
    chosen = _chosen(ids, all, "redrive", queue)
    target = name.removesuffix(".dead")
    moved = with_queue(choice, name, lambda backend: backend.broker.move(name, target, chosen))
    typer.echo(f"{moved:,} back in {target!r}")
    _missing(chosen, moved)


@app.command()
@chooses_project()
def purge(
    choice: Choice,
    queue: QueueArgument,
    ids: IdsArgument = None,
    all: AllOption = False,
    yes: YesOption = False,
) -> None:
    """Delete dead letters for good."""
    name = _dead(queue)
    purge_queue(choice, name.removesuffix(".dead"), name, _chosen(ids, all, "purge", queue), yes)


def _dead(queue: str) -> str:
    from millrace.broker import dead_letters

    return dead_letters(queue)


def _chosen(ids: list[str] | None, all: bool, verb: str, queue: str) -> list[str] | None:
    if bool(ids) == all:
        raise MillraceError("which dead letters? Give their ids or --all", f"millrace dead {verb} {queue} --all")
    return ids or None


def _missing(chosen: list[str] | None, moved: int) -> None:
    if chosen and moved < len(chosen):
        raise MillraceError(f"{len(chosen) - moved} of {len(chosen)} ids are no dead letters of this queue")
