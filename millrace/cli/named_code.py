"""The code that a project's functions name: looked for in children, so that nothing it does happens to the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from millrace.config.faults import Fault, Place
    from millrace.config.load import Examination
    from millrace.config.schema import Project
    from millrace.types import Failure

_LAST_LINES = 3


class _Code(NamedTuple):
    """What a function's code is found by; the same for functions that share it."""

    kind: str
    target: str
    root: str
    variables: tuple[tuple[str, str], ...]


def code_faults(every: Iterable[Examination], timeout_s: float) -> Iterator[Fault]:
    """A fault for each function whose code is not there; user code runs only in children, one for each target.

    As many children at once as there are cores; stages mostly name the same code.
    """
    from concurrent.futures import ThreadPoolExecutor

    from millrace.config.faults import Fault

    asked: list[tuple[Place, str, _Code]] = []
    for found in every:
        if (project := found.partial) is None:
            continue
        for name, function in project.functions.items():
            if "." not in function.target:
                continue
            if not project.folder(name).is_dir():
                what = f"functions.{name}.root: there is no folder {function.root}"
                yield Fault(found.place(("functions", name, "root")), what, "the folder of the function's code")
                continue
            place = found.place(("functions", name, function.kind))
            asked.append((place, f"functions.{name}.{function.kind}", _code(project, name)))
    codes = list(dict.fromkeys(code for _, _, code in asked))
    with ThreadPoolExecutor(os.cpu_count()) as children:
        problems = dict(zip(codes, children.map(partial(_probe, timeout_s), codes), strict=True))
    for place, what, code in asked:
        if problems[code]:
            yield Fault(place, f"{what}: {problems[code]}")


def _code(project: Project, name: str) -> _Code:
    from millrace.flow.spec import environment_of

    function, variables = project.functions[name], environment_of(project, name)
    return _Code(function.kind, function.target, str(project.folder(name)), tuple(variables.items()))


def _probe(timeout_s: float, code: _Code) -> str:
    """Why a function's code cannot be found, empty when it can."""
    import msgspec

    from millrace.types import Failure

    command = [sys.executable, "-m", "millrace.replica.probe", code.kind, code.target, code.root]
    try:
        child = subprocess.run(
            command,
            env=dict(code.variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"importing {code.target} took longer than {timeout_s:g}s; move slow work into load()"
    try:
        failure = msgspec.json.decode(child.stdout, type=Failure | None)
    except msgspec.DecodeError:
        last = child.stderr.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        return " | ".join([f"importing {code.target} ended its process (exit code {child.returncode})", *last])
    return _words(failure) if failure else ""


def _words(failure: Failure) -> str:
    if failure.type == "LoadError":
        return "; ".join(line.strip() for line in failure.message.splitlines())
    lines = [line.strip() for line in failure.traceback.splitlines() if line.strip().startswith("File ")]
    return f"{failure.type}: {failure.message}" + (f" ({lines[-1]})" if lines else "")
