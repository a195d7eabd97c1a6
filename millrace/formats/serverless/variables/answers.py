"""What passes between the resolver and a source: an Ask in, a node or a Missing out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from millrace.config.tree import Node


class Known(msgspec.Struct, frozen=True):
    """What a project's variables may ask for beside the file: the folder, what the person said, the environment.

    `stage` is None where none was said; `account` is twelve digits.
    """

    folder: Path
    account: str
    stage: str | None = None
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)


class Ask(NamedTuple):
    """One source of a variable: `kind(argument):address`, argument and address with their own variables filled in."""

    kind: str
    argument: Node | None
    address: Node
    site: Node

    @property
    def key(self) -> str:
        """The address as text; empty where there is none."""
        return as_text(self.address.value)

    @property
    def shown(self) -> str:
        """The source as a fault shows it; never what an environment variable held."""
        argument = "" if self.argument is None else f"({safe(self.argument)})"
        address = safe(self.address)
        return f"{self.kind}{argument}" + (f":{address}" if address or self.argument is None else "")


class Missing(NamedTuple):
    """A source without a value: what is wrong, what was expected, what may have been meant.

    `instead` is taken, with a warning, where no fallback helps; None makes it an error. An empty `what` says that it
    was told before.
    """

    what: str
    expected: str = ""
    near: str = ""
    instead: Node | None = None


def as_text(value: object) -> str:
    """A scalar as it stands within a text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def safe(node: Node) -> str:
    """A scalar as text, its environment variables by name."""
    return as_text(node.value) if node.written is None else node.written


def stand_in(ask: Ask) -> Node:
    """A readable name, fit for a queue, in place of what only the cloud knows: `ssm-app-password`."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", ask.shown).strip("-")[:60].rstrip("-")
    return Node(name or ask.kind, ask.site.place, ask.site.key_place)
