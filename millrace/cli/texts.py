"""Arguments and variables that are bytes of no text: Python makes halves of surrogate pairs of what is not UTF-8."""

from __future__ import annotations

import io
from typing import Any, TextIO

import typer


def refusing_odd_texts(command: Any) -> Any:
    """The command, which with its subcommands refuses what is not UTF-8 before it begins; paths may be any bytes."""
    for each in getattr(command, "commands", {}).values():
        refusing_odd_texts(each)
    invoke = command.invoke

    def checking(context: Any) -> Any:
        for parameter in command.params:
            given = context.params.get(parameter.name)
            for text in given if isinstance(given, list | tuple) else (given,):
                if isinstance(text, str) and not _is_utf8(text):
                    raise typer.BadParameter(f"{text!r} is not UTF-8", ctx=context, param=parameter)
        return invoke(context)

    command.invoke = checking
    return command


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape_odd_letters(stream: TextIO) -> None:
    """Print what a terminal or a pipe cannot hold, as the name of a file may be, escaped, as standard error does."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
