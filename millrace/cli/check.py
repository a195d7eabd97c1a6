"""`check`: everything that is wrong with a project, in the file and in the code that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.cli.named_code import code_faults
from millrace.cli.options import Choice, JsonOption, chooses_project
from millrace.cli.output import note, print_json
from millrace.cli.pickled import pickle_warnings

if TYPE_CHECKING:
    from millrace.config.faults import Fault
    from millrace.config.load import Examination

_USAGE = 2


@chooses_project("overrides", "strict")
def check(
    choice: Choice,
    code: Annotated[
        bool, typer.Option(help="Also import the code that functions name, each in its own process.")
    ] = True,
    code_timeout_s: Annotated[float, typer.Option("--code-timeout", min=0.1, help="Seconds for one import.")] = 60.0,
    json: JsonOption = False,
) -> None:
    """Say everything that is wrong with a project, with file:line:column.

    Without --stage every stage is checked. Of another tool's file, everything that does nothing here or not all that
    it does there is a warning. Exit code 0: sound (there may be warnings), 2: not.
    """
    from millrace.config.faults import in_order

    found = choice.examine()
    every = [found]
    if choice.stage is None:
        every += [choice._replace(stage=name).examine() for name in found.stages]
    faults = [fault for each in every for fault in each.faults]
    warnings = [warning for each in every for warning in each.warnings]
    if code:
        told = {fault.place for fault in faults}  # that a path leads nowhere can be seen without importing it
        faults += [fault for fault in code_faults(every, code_timeout_s) if fault.place not in told]
    if found.partial is not None:
        warnings += pickle_warnings(found.partial.root)
    _tell(found, in_order(faults), in_order(warnings), json)
    if faults:
        raise typer.Exit(_USAGE)


def _tell(found: Examination, faults: list[Fault], warnings: list[Fault], json: bool) -> None:
    if json:
        print_json([fault.as_dict() for fault in [*faults, *warnings]])
    for fault in [*faults, *warnings] if not json else []:
        typer.echo(str(fault))
    note(_summary(found, len(faults), len(warnings)))


def _summary(found: Examination, faults: int, warnings: int) -> str:
    counts = [_count(faults, "fault"), _count(warnings, "warning")]
    told = " and ".join(count for count in counts if count)
    runs = f"{found.understood} of {found.keys} keys of {found.file} do here what they do there" if found.keys else ""
    if faults or found.project is None:
        return "; ".join(part for part in (told, runs) if part)
    sections: dict[str, Any] = {
        name: getattr(found.project, name) for name in ("functions", "queues", "tables", "buckets")
    }
    parts = [_count(len(section), name.removesuffix("s")) for name, section in sections.items() if section]
    stages = f"; stages {', '.join(found.stages)}" if found.stages else ""
    sound = f"{found.project.service} is sound: {', '.join(parts) or 'nothing in it'}{stages}"
    return "; ".join(part for part in (sound, told, runs) if part)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""
