"""`convert`: the way out of another tool's project file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millrace.cli.options import (
    ParameterOption,
    ProjectOption,
    SetOption,
    StageOption,
    StrictOption,
    examine_project,
)
from millrace.cli.output import note
from millrace.errors import ConfigError, MillraceError

if TYPE_CHECKING:
    from millrace.config.load import Examination
    from millrace.formats.convert import Converted


def convert(
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; else millrace.yml beside the file. - prints."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    project: ProjectOption = None,
    stage: StageOption = None,
    overrides: SetOption = None,
    parameters: ParameterOption = None,
    strict: StrictOption = False,
) -> None:
    """Write the millrace.yml that runs as a serverless.yml, a SAM template or Zappa's settings do here.

    One stage of it, with the parameters and settings given. What the file says that does nothing here is not in it;
    `millrace check` on the file tells what that is.
    """
    from millrace.config.faults import refusal
    from millrace.formats.load import MILLRACE, format_of, locate

    source = locate(project)
    if format_of(source) == MILLRACE:
        raise ConfigError(f"{source} is a millrace.yml already", "name another tool's file with --project")
    found = examine_project(source, stage, overrides, parameters, strict=strict)
    if found.project is None:
        raise refusal(found.faults)
    from millrace.formats.convert import convert as write

    converted = write(found)
    if output == "-":
        typer.echo(converted.text, nl=False)
        return
    target = Path(output) if output else source.parent / "millrace.yml"
    _check(found, converted, target)
    _save(target, converted.text, force)
    _tell(found, converted, source, target)


def _check(found: Examination, converted: Converted, target: Path) -> None:
    """Raise MillraceError, before anything is written, where the text would not load as the same project."""
    from millrace.config.faults import Fault
    from millrace.config.load import examine_tree
    from millrace.config.reading import read_text

    assert found.project is not None
    faults: list[Fault] = []
    root = read_text(converted.text, str(target), faults, environment={**os.environ, **converted.secrets})
    if root is not None and not faults:
        again = examine_tree(root, found.project.root, stage=None, overrides=(), faults=faults).project
        if again == found.project:
            return
    raise MillraceError(
        f"{found.file} has something that millrace.yml cannot say; nothing was written",
        "\n".join(str(fault) for fault in faults) or f"it runs as it stands: millrace up --project {found.file}",
    )


def _save(target: Path, text: str, force: bool) -> None:
    try:
        with target.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{target} is there already", "--force writes over it, --output names another") from None
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror or error}", "name a file with --output") from None


def _tell(found: Examination, converted: Converted, source: Path, target: Path) -> None:
    from millrace.formats.load import FORMATS

    note(f"wrote {target} from {found.file}, stage {found.project.stage if found.project else ''}")
    if found.warnings:
        count = "1 warning" if len(found.warnings) == 1 else f"{len(found.warnings)} warnings"
        note(f"{count} about {found.file} that {target.name} keeps silent of: millrace check --project {found.file}")
    if converted.secrets:
        note(f"secrets are left in the environment: set {', '.join(sorted(converted.secrets))}")
    if target.resolve().parent != source.resolve().parent:
        note("paths in it are relative to the folder that it came from: move it there, or the code to it")
    elif target.name in FORMATS:
        note(f"{target.name} is this folder's project from now on; the old file: --project {found.file}")
