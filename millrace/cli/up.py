"""`up`, `gateway` and `worker`: the parts of a project, running until a signal drains them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.cli.options import BROKER_VARIABLE, DATABASE_VARIABLE, Choice, chooses_project, parameters_outside
from millrace.cli.output import note
from millrace.errors import MillraceError

if TYPE_CHECKING:
    from millrace.config.schema import Project
    from millrace.wire import Line

_SWITCH_S = 0.0005

HostOption = Annotated[
    str | None, typer.Option("--host", help="Address to listen on; anything but loopback needs a token.")
]
PortOption = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")]
DebugOption = Annotated[
    str | None,
    typer.Option("--debug", metavar="FUNCTION", help="Run this function inside this process, for a debugger."),
]
ReloadOption = Annotated[bool, typer.Option("--reload", help="Start anew when a .py file or a project file changes.")]


@chooses_project("overrides", "strict")
def up(
    choice: Choice,
    host: HostOption = None,
    port: PortOption = None,
    reload: ReloadOption = False,
    debug: DebugOption = None,
) -> None:
    """Run everything: gateway, schedules, watches, queues and functions, until Ctrl-C.

    The first Ctrl-C (or SIGTERM) drains: nothing new is taken, what runs is finished. The second one kills;
    even then nothing that was accepted is lost.

    With --debug a function runs in this process without time limits: `breakpoint()` opens pdb in this terminal, and
    an editor that starts this command under its debugger stops at its breakpoints.
    """
    if debug and reload:
        raise MillraceError("expected one of --debug and --reload, got both")
    choice = _listening(choice, host, port)
    if reload:
        _reload("up", choice)
    found = _load(choice)
    if debug is not None:
        from millrace.config.names import check_function

        check_function(found, debug)
    _run(found, gateway=True, functions=None, debug=debug)


@chooses_project("overrides", "strict")
def gateway(
    choice: Choice,
    host: HostOption = None,
    port: PortOption = None,
    reload: ReloadOption = False,
) -> None:
    """Run the gateway, the schedules and the watches; functions run in `millrace worker` processes."""
    choice = _listening(choice, host, port)
    if reload:
        _reload("gateway", choice)
    _run(_load(choice), gateway=True, functions=())


@chooses_project("overrides", "strict")
def worker(
    choice: Choice,
    function: Annotated[
        list[str] | None, typer.Option("--function", "-F", help="Run just this function. Repeatable.")
    ] = None,
    health: Annotated[
        str | None,
        typer.Option("--health", metavar="[HOST:]PORT", help="Answer /healthz, /readyz and /metrics there."),
    ] = None,
    reload: ReloadOption = False,
) -> None:
    """Run functions, all or some, beside any number of other workers on the same queues.

    With --health it is ready while every function that it runs is loaded. Beyond loopback the reasons and /metrics are
    told to those alone who send MILLRACE_TOKEN.
    """
    from millrace.app.health import address_of
    from millrace.config.names import check_function

    address = address_of(health) if health is not None else None

    chosen = function or []
    if reload:
        listening = [f"--health={health}"] if health is not None else []
        _reload("worker", choice, *(f"--function={name}" for name in chosen), *listening)
    found = _load(choice)
    for name in chosen:
        check_function(found, name)
    _run(found, gateway=False, functions=chosen or None, health=address)


def _load(choice: Choice) -> Project:
    """The project; of another tool's file, how much of it does here what it does there is told in a line."""
    from millrace.config.faults import refusal

    found = choice.examine()
    if found.project is None:
        raise refusal(found.faults)
    if found.keys and found.warnings:
        count = "1 warning" if len(found.warnings) == 1 else f"{len(found.warnings)} warnings"
        runs = f"{found.understood} of {found.keys} keys do here what they do there"
        note(f"{found.file}: {runs}; {count}, told by `millrace check`")
    return found.project


def _repeated(parameters: list[str] | None, strict: bool) -> list[str]:
    given = parameters if parameters != parameters_outside() else None  # those the child finds where we did
    return [*(f"--parameter={each}" for each in given or ()), *(["--strict"] if strict else [])]


def _listening(choice: Choice, host: str | None, port: int | None) -> Choice:
    given = {"gateway.host": host, "gateway.port": port}
    settings = [f"{key}={value}" for key, value in given.items() if value is not None]
    return choice._replace(overrides=[*(choice.overrides or ()), *settings])


def _hand_on(choice: Choice) -> None:
    """Give URLs to a child by its environment: they may hold passwords, and its arguments are everybody's to read."""
    for variable, url in ((BROKER_VARIABLE, choice.broker), (DATABASE_VARIABLE, choice.database)):
        if url is not None:
            os.environ[variable] = url


def _reload(command: str, choice: Choice, *arguments: str) -> None:
    from millrace.cli.reload import supervise
    from millrace.formats.load import locate

    _hand_on(choice)
    path = locate(choice.project).resolve()
    settings = (f"--set={setting}" for setting in choice.overrides or ())
    stage = [f"--stage={choice.stage}"] if choice.stage else []
    options = [f"--project={path}", *settings, *arguments, *_repeated(choice.parameters, choice.strict), *stage]
    raise typer.Exit(supervise(path.parent, [command, *options]))


def _run(
    project: Project,
    *,
    gateway: bool,
    functions: Collection[str] | None,
    debug: str | None = None,
    health: tuple[str, int] | None = None,
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # The event loop and the database's writer share the interpreter lock, and each gives it up for many short calls:
    # at the default of 5 ms the other could keep it that long each time.
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        if code := runner.run(_serve(project, gateway, functions, debug, health)):
            raise typer.Exit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop, which halves what a request costs; the standard library's where it does not run."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(
    project: Project,
    gateway: bool,
    functions: Collection[str] | None,
    debug: str | None,
    health: tuple[str, int] | None,
) -> int:
    from millrace.app import up as run

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _kill)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    return await run(
        project,
        gateway=gateway,
        functions=functions,
        announce=note,
        stop=stop,
        on_line=_show_line,
        debug=debug,
        health=health,
    )


def _kill() -> None:
    """End this process at once: replicas see their socket close and end, leases run out by themselves."""
    note("killed; what was running comes back when its lease runs out")
    os._exit(1)


def _show_line(function: str, line: Line) -> None:
    note(f"{function} | {line.text}")
