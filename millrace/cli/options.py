"""Options that many commands share, and the project that they choose."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from millrace.errors import ConfigError

if TYPE_CHECKING:
    from millrace.config.load import Examination
    from millrace.config.schema import Project

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        envvar="MILLRACE_PROJECT",
        help="The project's folder or file (millrace.yml, serverless.yml, template.yaml, zappa_settings.json); "
        "else the one here or in a folder above.",
    ),
]
StageOption = Annotated[str | None, typer.Option("--stage", envvar="MILLRACE_STAGE", help="The stage to apply.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: functions.classify.replicas=4. Repeatable."),
]
_EMBEDDED = "embedded"
BROKER_VARIABLE = "MILLRACE_BROKER"
DATABASE_VARIABLE = "MILLRACE_DATABASE"
BrokerOption = Annotated[
    str | None,
    typer.Option(
        "--broker",
        metavar="URL",
        envvar=BROKER_VARIABLE,
        help=f"The broker instead of the project's: amqp://host, ...; {_EMBEDDED} is the queue in .millrace.",
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar=DATABASE_VARIABLE,
        help=f"The database instead of the project's: postgresql://host/name; {_EMBEDDED} is the one in .millrace.",
    ),
]
PARAMETERS_VARIABLE = "MILLRACE_PARAMETER"
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        metavar="NAME=VALUE",
        envvar=PARAMETERS_VARIABLE,
        help="A parameter of the template. Repeatable; in the variable, separated by spaces.",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", envvar="MILLRACE_STRICT", help="Count every warning as an error.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON array of objects instead of a table.")]

_CHOICE: dict[str, tuple[Any, Any]] = {  # the options of a choice, and what they are when nothing is said
    "project": (ProjectOption, None),
    "stage": (StageOption, None),
    "broker": (BrokerOption, None),
    "database": (DatabaseOption, None),
    "overrides": (SetOption, None),
    "parameters": (ParameterOption, None),
    "strict": (StrictOption, False),
}
_SMALL = ("project", "stage", "broker", "database", "parameters")


class Choice(NamedTuple):
    """The project that a command line chooses, and what it says of it."""

    project: Path | None = None
    stage: str | None = None
    broker: str | None = None
    database: str | None = None
    overrides: list[str] | None = None
    parameters: list[str] | None = None
    strict: bool = False

    @property
    def settings(self) -> list[str]:
        """What --set, --broker and --database override."""
        return [*(self.overrides or ()), *elsewhere(self.broker, self.database)]

    def load(self) -> Project:
        """The project. Raises ConfigError with every fault."""
        return load_project(self.project, self.stage, self.settings, self.parameters, strict=self.strict)

    def examine(self) -> Examination:
        """The same with the warnings, and the faults told rather than raised."""
        return examine_project(self.project, self.stage, self.settings, self.parameters, strict=self.strict)


def chooses_project(*more: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, as its first argument, what is chosen by options that it takes behind its own.

    Those are --project, --stage, --broker, --database and --parameter; `more` are overrides or strict.
    """
    names = (*_SMALL, *more)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option)
        for name, (option, default) in _CHOICE.items()
        if name in names
    ]

    def chosen(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            choice = Choice(**{name: given.pop(name) for name in names})
            command(choice, **given)

        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {}  # they are in the signature, evaluated
        return run

    return chosen


def elsewhere(broker: str | None, database: str | None) -> list[str]:
    """The overrides that --broker and --database mean."""
    given = {"broker": broker, "database": database}
    return [f"{key}={'null' if url == _EMBEDDED else json.dumps(url)}" for key, url in given.items() if url is not None]


def parameters_outside() -> list[str]:
    """The parameters that the variable has."""
    return os.environ.get(PARAMETERS_VARIABLE, "").split()


def load_project(
    project: Path | None,
    stage: str | None = None,
    overrides: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    *,
    strict: bool = False,
) -> Project:
    """The project that --project, --stage, --set and --parameter choose. Raises ConfigError with every fault."""
    from millrace.config.faults import refusal

    found = examine_project(project, stage, overrides, parameters, strict=strict)
    if found.project is None:
        raise refusal(found.faults)
    return found.project


def examine_project(
    project: Path | None,
    stage: str | None = None,
    overrides: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    *,
    strict: bool = False,
) -> Examination:
    """The same with the warnings, and the faults told rather than raised.

    Without any parameters the variable's count, so that every command sees the queues that `up` was started with.
    """
    from millrace.formats.load import examine

    given = parameters if parameters is not None else parameters_outside()
    return examine(project, stage=stage, overrides=overrides or (), parameters=named_values(given), strict=strict)


def named_values(parameters: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE`s as a mapping. Raises ConfigError for one without a name or a sign of equality."""
    found: dict[str, str] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals or not name:
            raise ConfigError(f"--parameter {parameter} is no parameter", "expected NAME=VALUE such as Bucket=lake")
        found[name] = value
    return found
