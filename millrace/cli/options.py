"""Options that many commands share, and the project that they choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from millrace.config.schema import Project

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        envvar="MILLRACE_PROJECT",
        help="The project's folder or file; else millrace.yml here or in a folder above.",
    ),
]
StageOption = Annotated[
    str | None, typer.Option("--stage", envvar="MILLRACE_STAGE", help="The overlay under `stages` to apply.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: functions.classify.replicas=4. Repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON array of objects instead of a table.")]


def load_project(project: Path | None, stage: str | None = None, overrides: Sequence[str] | None = None) -> Project:
    """The project that --project, --stage and --set choose. Raises ConfigError with every fault."""
    from millrace.config.load import load

    return load(project, stage=stage, overrides=overrides or ())
