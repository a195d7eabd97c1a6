"""The command line: a group that knows its commands by name and imports one only when it is used.

`registry.py` says which commands exist and how to add one.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from millrace.cli.registry import COMMANDS
from millrace.cli.texts import escape_odd_letters, refusing_odd_texts
from millrace.errors import ConfigError, MillraceError

_INTERRUPTED = 130
# Imports make much that stays, and messages come and go by the thousand, neither in cycles: looking for some costs a
# tenth of a start and a twentieth of a server's time. A start makes about 80,000 objects.
_GC = (100_000, 50, 100)


class LazyGroup(TyperGroup):
    """Commands out of the registry, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for heading in dict.fromkeys(command.heading for command in COMMANDS.values()):
            with formatter.section(heading):
                formatter.write_dl([(name, each.help) for name, each in COMMANDS.items() if each.heading == heading])


def group(help: str) -> typer.Typer:
    """A Typer for the subcommands of one name, to be filled with `@app.command()`."""
    return typer.Typer(help=help, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


def load_command(name: str) -> Any:
    """The command of that name, its module imported now."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(importlib.import_module(f"millrace.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(name=name, short_help=COMMANDS[name].help)(found)
    command = get_command(app)
    command.name = name
    return refusing_odd_texts(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from millrace import __version__

        typer.echo(f"millrace {__version__}")
        raise typer.Exit


def build() -> Any:
    """The whole command line as a Click command, for `main` and for the reference generator."""
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, no_args_is_help=True)

    @app.callback(
        help="Put a durable queue in front of a model.", context_settings={"help_option_names": ["-h", "--help"]}
    )
    def millrace(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
        ] = False,
    ) -> None:
        pass

    return get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code: 0 done, 1 failed, 2 wrong usage or project file, 130 interrupted."""
    code: str | int | None = 0
    try:
        build().main(args=list(arguments), prog_name="millrace")
    except MillraceError as error:
        from millrace.cli.output import report

        report(error)
        code = 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except SystemExit as leaving:
        code = leaving.code
    return code if isinstance(code, int) else int(code is not None)


def main() -> None:
    """The `millrace` command."""
    gc.set_threshold(*_GC)
    escape_odd_letters(sys.stdout)
    code = run(sys.argv[1:])
    gc.freeze()  # everything is closed: to look through all modules for cycles at the exit takes a tenth of `invoke`
    sys.exit(code)
