"""A project file of any format → a Project: finds the file, asks the reader of its format, examines what it gives."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from millrace.config import load as millrace_yml
from millrace.config.faults import Fault, in_order, refusal
from millrace.config.load import Examination, content_of, examine_tree, name_of
from millrace.config.schema import Project
from millrace.errors import ConfigError
from millrace.formats.cloudformation.surroundings import ENDPOINT
from millrace.formats.iam import refusals
from millrace.formats.reader import Reader, Request

MILLRACE, SERVERLESS, SAM, ZAPPA = "millrace", "serverless", "sam", "zappa"
READERS = {
    SERVERLESS: "millrace.formats.serverless:read",
    SAM: "millrace.formats.sam:read",
    ZAPPA: "millrace.formats.zappa:read",
}
FORMATS = dict.fromkeys(millrace_yml.NAMES, MILLRACE)
FORMATS |= {f"serverless.{ending}": SERVERLESS for ending in ("yml", "yaml", "json")}
FORMATS |= {f"template.{ending}": SAM for ending in ("yaml", "yml", "json")}
FORMATS |= {f"zappa_settings.{ending}": ZAPPA for ending in ("json", "toml", "yaml", "yml")}
_IN_SHORT = "millrace.yml, serverless.yml, template.yaml, zappa_settings.json"
_PORT = re.compile(r"aws\.port=\s*([1-9]\d{0,4})\s*")
# A file of another name is known by what no other format has at its top, in this order.
_MARKS = (
    (SERVERLESS, re.compile(rb"""^provider\s*:|^\s{0,4}"provider"\s*:|^\{\s*"provider"\s*:""", re.M)),
    (SAM, re.compile(rb"""^(?:Resources|AWSTemplateFormatVersion)\s*:|"Resources"\s*:""", re.M)),
    (ZAPPA, re.compile(rb"""^\s*["']?(?:app_function|django_settings)["']?\s*[:=]""", re.M)),
    (MILLRACE, re.compile(rb"""^["']?(?:service|functions)["']?\s*:""", re.M)),
)


def find(start: Path) -> Path:
    """The project file in a folder or the nearest folder above it. Raises ConfigError when there is none."""
    folder = start.resolve()
    for each in (folder, *folder.parents):
        if (found := _inside(each)) is not None:
            return found
    raise ConfigError(
        f"no project file in {folder} or a folder above it",
        f"looked for {_IN_SHORT} (and .yaml, .json, .toml of them); "
        "name the project with --project, or start one: millrace init hello my-app",
    )


def locate(path: Path | None) -> Path:
    """The project file that a folder or a file name means, found from here upwards without one. Raises ConfigError."""
    if path is None:
        return find(Path.cwd())
    if not path.is_dir():
        return path
    found = _inside(path)
    if found is None:
        hint = f"looked for {_IN_SHORT} (and .yaml, .json, .toml of them); name the project's folder or file"
        raise ConfigError(f"no project file in {path}", hint)
    return found


def load(
    path: Path | None = None,
    *,
    stage: str | None = None,
    overrides: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Project:
    """The project of a file of any format, or of a folder, or found from here upwards.

    `parameters` are a template's, `strict` makes warnings errors. Raises ConfigError whose `faults` has every fault
    with file:line:column.
    """
    found = examine(path, stage=stage, overrides=overrides, parameters=parameters, strict=strict)
    if found.project is None:
        raise refusal(found.faults)
    return found.project


def examine(
    path: Path | None = None,
    *,
    stage: str | None = None,
    overrides: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Examination:
    """Everything that is wrong or doubtful in a project file. Raises ConfigError when there is no file to read."""
    file = locate(path)
    kind = format_of(file)
    if kind == MILLRACE:
        found = msgspec.structs.replace(
            millrace_yml.examine(file, stage=stage, overrides=overrides), file=name_of(file)
        )
    else:
        found = _examine_foreign(
            READERS[kind], Request(file, stage, dict(parameters or {}), _endpoint(overrides)), overrides
        )
    return _strict(found) if strict else found


def format_of(file: Path) -> str:
    """The format of a project file, by its name or by what stands in it. Raises ConfigError when it is none we know."""
    if (known := FORMATS.get(file.name.lower())) is not None:
        return known
    content = content_of(file)
    if file.suffix.lower() in (".yml", ".yaml", ".json", ".toml", ".template"):
        for kind, mark in _MARKS:
            if mark.search(content):
                return kind
    raise ConfigError(f"{name_of(file)} is no project file that millrace knows", f"expected one such as {_IN_SHORT}")


def _inside(folder: Path) -> Path | None:
    return next((folder / name for name in FORMATS if (folder / name).is_file()), None)


def _examine_foreign(reader: str, request: Request, overrides: Sequence[str]) -> Examination:
    draft = _reader(reader)(request)
    folder = request.file.resolve().parent
    if draft.tree is not None:
        draft.faults += refusals(draft.tree, draft.policies, folder)
    errors = [fault for fault in draft.faults if fault.severity == "error"]
    doubts = [fault for fault in draft.faults if fault.severity == "warning"]
    if draft.tree is None:
        found = Examination(None, in_order(errors), in_order(doubts))
    else:
        # The reader has applied the stage: in the tree it is a word and no overlay.
        found = examine_tree(draft.tree, folder, stage=None, overrides=overrides, faults=errors)
    return msgspec.structs.replace(
        found,
        warnings=in_order([*doubts, *found.warnings]),
        stages=list(draft.stages),
        file=name_of(request.file),
        understood=draft.understood,
        keys=draft.keys,
    )


def _endpoint(overrides: Sequence[str]) -> str:
    """Where queues' URLs begin: they are made while the file is read, before its tree is overridden."""
    said = [match[1] for each in overrides if (match := _PORT.fullmatch(each))]
    return f"{ENDPOINT.rpartition(':')[0]}:{said[-1]}" if said else ENDPOINT


def _reader(target: str) -> Reader:
    module, _, name = target.partition(":")
    found: Reader = getattr(importlib.import_module(module), name)
    return found


def _strict(found: Examination) -> Examination:
    if not found.warnings:
        return found
    faults: list[Fault] = [
        *found.faults,
        *(msgspec.structs.replace(warning, severity="error") for warning in found.warnings),
    ]
    return msgspec.structs.replace(found, project=None, faults=in_order(faults), warnings=[])
