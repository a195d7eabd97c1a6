"""samconfig.toml beside a template: the parameters, the stack's name and the region that `sam deploy` would use.

Source: AWS SAM Developer Guide, "AWS SAM CLI configuration file".
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from millrace.config.faults import Fault, Place
from millrace.config.reading import MAX_BYTES
from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below, entries
from millrace.formats.keys import Key, Keys

FILE = "samconfig.toml"
DEFAULT_ENVIRONMENT = "default"
SAMCONFIG_KEYS: Keys = {
    "parameter_overrides": Key("yes", "--parameter says otherwise"),
    "stack_name": Key("yes"),
    "region": Key("yes"),
}
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


class SamConfig(msgspec.Struct, frozen=True):
    """What is said there; empty where nothing is."""

    stack: str = ""
    region: str = ""
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)

    def put_defaults(self, root: Node) -> None:
        """Make the parameters' values the defaults of those that the template declares."""
        place = Place(FILE)
        for name, declared in entries(below(root, "Parameters")):
            if name in self.parameters and isinstance(declared.value, dict):
                declared.value["Default"] = Node(self.parameters[name], place, place)


def read_config(folder: Path, stage: str | None, faults: list[Fault]) -> SamConfig:
    """The section of the stage, or else the default one; a warning where the file cannot be read."""
    file = folder / FILE
    if not file.is_file():
        return SamConfig()
    try:
        with file.open("rb") as stream:
            document = tomllib.loads(stream.read(MAX_BYTES).decode())
        environment = document.get(stage or DEFAULT_ENVIRONMENT) or document.get(DEFAULT_ENVIRONMENT)
        said = {**_parameters(environment, "global"), **_parameters(environment, "deploy")}
        parameters = dict(_overrides(said.get("parameter_overrides")))
    except (OSError, ValueError, RecursionError) as error:
        what = f"{FILE} is not read: {error}"
        faults.append(Fault(Place(FILE), what, "what `sam deploy --guided` writes", severity="warning"))
        return SamConfig()
    stack, region = str(said.get("stack_name", "")), str(said.get("region", ""))
    return SamConfig(stack * bool(_STACK.fullmatch(stack)), region * bool(_REGION.fullmatch(region)), parameters)


def _parameters(environment: Any, command: str) -> dict[str, Any]:
    for key in (command, "parameters"):
        environment = environment.get(key) if isinstance(environment, dict) else None
    return environment if isinstance(environment, dict) else {}


def _overrides(said: Any) -> Iterator[tuple[str, str]]:
    """Names and values of a text, a list or a table. Raises ValueError where quotes are left open."""
    if isinstance(said, dict):
        yield from ((name, _plain(value)) for name, value in said.items())
        return
    for word in shlex.split(said) if isinstance(said, str) else said if isinstance(said, list) else ():
        name, _, value = str(word).removeprefix("ParameterKey=").replace(",ParameterValue=", "=", 1).partition("=")
        yield name, value.strip("\"'")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_plain, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
