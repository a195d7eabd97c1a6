"""Every command by name: where it lives and one line about it, so that `millrace --help` imports none of them.

The convention. A command is `module:attribute` below `millrace.cli`; the attribute is

- a plain, synchronous function: its annotated signature (`typer.Option`, `typer.Argument`) is the command line, its
  docstring the long help. A command that needs the event loop calls `asyncio.run` itself; or
- a `typer.Typer` with commands of its own (`dead list`, `table get`), made by `group()` of `millrace.cli`.

A module imports at its top only the standard library, `typer`, `millrace.errors` and `millrace.cli.*`; whatever is
slow to import (pydantic, starlette, obstore, rich) waits inside the function. Options that many commands share are in
`options.py`, tables, JSON and errors in `output.py`. A command raises MillraceError and lets `main` print it.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Where a command is (`module:attribute` below millrace.cli), what it does, and the heading it stands under."""

    target: str
    help: str
    heading: str


COMMANDS: dict[str, Command] = {
    "init": Command("init:init", "Start a project from a template.", "Project"),
    "demo": Command("demo:demo", "Run the digits project under fire and print what became of it.", "Project"),
    "check": Command("check:check", "Say everything that is wrong with a project, with file:line.", "Project"),
    "convert": Command("convert:convert", "Write the millrace.yml of another tool's project file.", "Project"),
    "schema": Command("schema:schema", "Print the JSON Schema of millrace.yml for editors.", "Project"),
    "manifests": Command("manifests:app", "Write a container file, systemd units or Kubernetes manifests.", "Project"),
    "up": Command("up:up", "Run everything: gateway, schedules, queues, workers.", "Run"),
    "gateway": Command("up:gateway", "Run the gateway and the sources alone.", "Run"),
    "worker": Command("up:worker", "Run workers alone.", "Run"),
    "invoke": Command("invoke:invoke", "Call a function once and print what it answers.", "Run"),
    "event": Command("event:event", "Print a sample event of a source, as a handler gets it.", "Run"),
    "send": Command("send:send", "Put one message into a queue.", "Queues"),
    "feed": Command("feed:feed", "Stream files into a queue, resumable.", "Queues"),
    "queues": Command("queues:queues", "Show depth, in flight, delayed, dead and age of the queues.", "Queues"),
    "peek": Command("queues:peek", "Look at a queue's messages without taking them.", "Queues"),
    "purge": Command("queues:purge", "Delete a queue's messages.", "Queues"),
    "move-queue": Command("move:move_queue", "Move a queue to another broker, without loss.", "Queues"),
    "dead": Command("dead:app", "List, show, redrive or purge dead letters.", "Queues"),
    "table": Command("tables:app", "Read rows of a table: get, scan, export.", "Results"),
    "result": Command("results:result", "Show what became of a message.", "Results"),
    "logs": Command("logs:logs", "Show what functions printed and logged.", "Results"),
    "sample": Command("sample:sample", "Take random lines of a file of any size.", "Results"),
}
