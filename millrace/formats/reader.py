"""What a reader of a project file is told and what it gives: a Request in, a Draft out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from millrace.config.faults import Fault
from millrace.config.tree import Node
from millrace.formats.cloudformation.surroundings import ENDPOINT
from millrace.formats.iam.policy import Policy


class Request(msgspec.Struct, frozen=True):
    """A project file and what the person said beside it; parameters are SAM's and Serverless's `--parameter k=v`.

    `endpoint` is where the URLs of queues begin.
    """

    file: Path
    stage: str | None = None
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    endpoint: str = ENDPOINT


class Draft(msgspec.Struct):
    """A project in millrace.yml's words: `tree` is None where the file could not be read at all.

    `policies` are what the functions' roles allow, where the file says so.
    `faults` has errors and warnings; `understood` and `keys` count the keys that do here what they do there, of all.
    `stages` are the names that --stage may take, where the file has a list of them.
    """

    tree: Node | None
    faults: list[Fault] = msgspec.field(default_factory=list)
    understood: int = 0
    keys: int = 0
    stages: list[str] = msgspec.field(default_factory=list)
    policies: dict[str, Policy] = msgspec.field(default_factory=dict)


class Reader(Protocol):
    """Reads one kind of project file."""

    def __call__(self, request: Request) -> Draft: ...
