"""millrace.yml → a Project, or every fault in it: read, stage, overrides, schema, meaning.

read the text into a tree → lay the stage upon it → set the overrides → validate → check what it means
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from pydantic import ValidationError

from millrace.config.check import check
from millrace.config.explain import explain
from millrace.config.faults import Fault, Place, in_order, refusal
from millrace.config.findings import Finding
from millrace.config.reading import MAX_BYTES, read_bytes, read_text
from millrace.config.schema import Project
from millrace.config.section import without_plugins
from millrace.config.tree import Node, apply_stage, assign, walk
from millrace.errors import ConfigError

NAMES = ("millrace.yml", "millrace.yaml")
_ROUNDS = 8
_OWN_OPTIONS = ("broker", "database")  # commands have --broker and --database, which are overrides too


class Examination(msgspec.Struct):
    """What was found in a project file: the project where it is sound, faults and warnings in any case.

    `partial` is what is sound of it, and `tree` is where everything stood; both None when there was nothing to read.
    `stages` are the names that --stage may take. Of another tool's `file`, `understood` of its `keys` do here what they
    do there; both are 0 for millrace.yml.
    """

    project: Project | None
    faults: list[Fault] = msgspec.field(default_factory=list)
    warnings: list[Fault] = msgspec.field(default_factory=list)
    partial: Project | None = None
    tree: Node | None = None
    stages: list[str] = msgspec.field(default_factory=list)
    file: str = ""
    understood: int = 0
    keys: int = 0

    def place(self, path: Sequence[str | int]) -> Place:
        """Where the value at a path stands, or what is nearest above it."""
        return walk(self.tree, path)[-1].place if self.tree is not None else Place("")


def find(start: Path) -> Path:
    """The project file in a folder or the nearest folder above it. Raises ConfigError when there is none."""
    folder = start.resolve()
    for each in (folder, *folder.parents):
        for name in NAMES:
            if (each / name).is_file():
                return each / name
    raise ConfigError(
        f"no {NAMES[0]} in {folder} or a folder above it",
        "name the project with --project, or start one: millrace init hello my-app",
    )


def load(path: Path | None = None, *, stage: str | None = None, overrides: Sequence[str] = ()) -> Project:
    """The project of a file, or of a folder, or found from here upwards, with one stage and overrides applied.

    `overrides` are `functions.classify.replicas=4`, values in YAML. Raises ConfigError whose `faults` has every fault
    with file:line:column.
    """
    found = examine(path, stage=stage, overrides=overrides)
    if found.project is None:
        raise refusal(found.faults)
    return found.project


def examine(path: Path | None = None, *, stage: str | None = None, overrides: Sequence[str] = ()) -> Examination:
    """Everything that is wrong or doubtful in a project file. Raises ConfigError when there is no file to read."""
    file = _locate(path)
    faults: list[Fault] = []
    root = read_bytes(content_of(file), name_of(file), faults)
    if root is None:
        if not faults:
            start = Place(name_of(file), 1, 1)
            faults.append(Fault(start, "the file is empty", "at least `service: my-app` and `functions:`"))
        return Examination(None, in_order(faults))
    return examine_tree(root, file.resolve().parent, stage=stage, overrides=overrides, faults=faults)


def examine_tree(
    root: Node, folder: Path, *, stage: str | None, overrides: Sequence[str], faults: list[Fault]
) -> Examination:
    """The same for a tree in millrace.yml's words, whatever file its nodes stand in; `faults` are known already."""
    if not isinstance(root.value, dict):
        faults.append(Fault(root.place, "the project file", "a mapping such as `service: my-app`", root.shown))
        return Examination(None, in_order(faults))
    overlays = root.child("stages")
    stages = list(overlays.value) if overlays is not None and isinstance(overlays.value, dict) else []
    root = apply_stage(root, stage, faults)
    for override in overrides:
        _override(root, override, faults)
    if (misplaced := root.child("root")) is not None:
        faults.append(Fault(misplaced.key_place, "unknown key 'root': a project's root is the folder of its file"))
        root.remove("root")
    project, touched = _validate(root, faults)
    if project is None:
        return Examination(None, in_order(faults), tree=root, stages=stages)
    project = project.model_copy(update={"root": folder})
    # Where something was taken out, "there is nothing" would be told of what is there but wrong.
    findings = [
        each for each in check(project, _machine_bytes(project)) if id(walk(root, each.path)[-1]) not in touched
    ]
    findings = [each for each in findings if not (each.in_clear and _is_hidden(walk(root, each.path)[-1]))]
    located = [_located(finding, root) for finding in findings if not (faults and finding.severity == "warning")]
    faults += [fault for fault in located if fault.severity == "error"]
    warnings = [fault for fault in located if fault.severity == "warning"]
    return Examination(None if faults else project, in_order(faults), in_order(warnings), project, root, stages)


def _override(root: Node, override: str, faults: list[Fault]) -> None:
    key, equals, text = override.partition("=")
    place = Place(f"--{key}" if equals and key in _OWN_OPTIONS else f"--set {key}")
    if not equals or not all(key.split(".")):
        faults.append(Fault(place, "not an override", "KEY=VALUE such as functions.classify.replicas=4"))
        return
    before = len(faults)
    value = read_text(text, "--set", faults, at=place) or Node(None, place, place)
    if len(faults) == before and (problem := assign(root, key.split("."), value)):
        faults.append(Fault(place, problem))


def _validate(root: Node, faults: list[Fault]) -> tuple[Project | None, set[int]]:
    """The tree as a Project, and the ids of the nodes from which something wrong was taken.

    What the schema refuses is told once and taken out, so that the meaning of the rest can be checked as well.
    """
    touched: set[int] = set()
    for round in range(_ROUNDS):
        try:
            with without_plugins():
                return Project.model_validate(root.plain()), touched
        except ValidationError as error:
            if round == 0:
                faults += explain(error, root)
            # By node, not by index: taking one item out of a list moves the others.
            for parent, child, step in [_culprit(root, each["loc"], each["type"]) for each in error.errors()]:
                if child is None:
                    parent.value[step] = Node("?", parent.place, parent.key_place)
                else:
                    _detach(parent, child)
                touched.add(id(parent))
    return None, touched


def _culprit(root: Node, location: Sequence[str | int], kind: str) -> tuple[Node, Node | None, str]:
    """What to take out for an error: parent and child; no child where a needed key has to be filled in instead."""
    if kind != "missing":
        trail = walk(root, location)
        return trail[-2], trail[-1], str(location[-1])
    for depth in range(len(location) - 1, 0, -1):
        if isinstance(location[depth], int):  # a list item that lacks something goes as a whole
            trail = walk(root, location[: depth + 1])
            return trail[-2], trail[-1], ""
    parent = walk(root, location[:-1])[-1]
    if parent.value is None:
        parent.value = {}
    return parent, None, str(location[-1])


def _detach(parent: Node, child: Node) -> None:
    steps = parent.value.items() if isinstance(parent.value, dict) else enumerate(parent.value)
    for step, node in list(steps):
        if node is child:
            parent.remove(step)
            return


def _machine_bytes(project: Project) -> int | None:
    if not any(function.memory for function in project.functions.values()):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _located(finding: Finding, root: Node) -> Fault:
    node = walk(root, finding.path)[-1]
    place = node.key_place if finding.at_key else node.place
    got = node.shown if finding.got and node.written is not None else finding.got  # never what a variable held
    what = finding.what.removeprefix(f"{place.source.removeprefix('--')}: ")  # the option says it already
    return Fault(place, what, finding.expected, got, finding.near, finding.severity)


def _is_hidden(node: Node) -> bool:
    """Whether a value comes from a variable, or stands in no file at all."""
    return node.written is not None or not node.place.line


def _locate(path: Path | None) -> Path:
    if path is None:
        return find(Path.cwd())
    if path.is_dir():
        for name in NAMES:
            if (path / name).is_file():
                return path / name
        raise ConfigError(f"no {NAMES[0]} in {path}", "name the project's folder or file")
    return path


def content_of(file: Path) -> bytes:
    """A project file's bytes, at most one more than may be. Raises ConfigError when it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {file}", "name the project's folder or its millrace.yml") from None
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}", "see who may read it") from None


def name_of(file: Path) -> str:
    """The file as faults name it: relative where it lies below the working directory."""
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        return str(file)
    return str(file) if relative.startswith("..") else relative
