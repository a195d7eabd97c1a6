"""Write the reference pages that are made from the code: config.md, cli.md and compatibility.md of docs/reference.

python docs/generate.py             # or: make reference
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from millrace import cli
from millrace.cli.registry import COMMANDS
from millrace.config.docs import config_page
from millrace.formats.docs import compatibility_page

REFERENCE = Path(__file__).resolve().parent / "reference"
_OPENING = """\
# Command line

<!-- Made by `make reference` from the commands' own help: change it there. -->

Exit codes: 0 done, 1 failed, 2 wrong usage or project file, 130 interrupted. Tables go to standard output, notes and
errors to standard error; `--json` prints one JSON array of objects instead of a table. `millrace --install-completion`
installs completion for your shell.
"""


def pages() -> dict[str, str]:
    """The text of each page by its name."""
    return {"config.md": config_page(), "cli.md": cli_page(), "compatibility.md": compatibility_page()}


def cli_page() -> str:
    """The help of every command, under the headings of `millrace --help`."""
    parts = [_OPENING]
    for heading in dict.fromkeys(command.heading for command in COMMANDS.values()):
        parts.append(f"## {heading}\n")
        parts += [_command(name) for name, command in COMMANDS.items() if command.heading == heading]
    return "\n".join(parts)


def _command(name: str) -> str:
    text = f"### {name}\n\n{COMMANDS[name].help}\n\n{_help(name)}"
    below = getattr(cli.load_command(name), "commands", {})
    return text + "".join(f"\n#### {name} {each}\n\n{_help(name, each)}" for each in below)


def _help(*words: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        cli.run([*words, "--help"])
    lines = [line.rstrip() for line in printed.getvalue().strip().splitlines()]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def main() -> None:
    os.environ["COLUMNS"] = "80"
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)


if __name__ == "__main__":
    main()
