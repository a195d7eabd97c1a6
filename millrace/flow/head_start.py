"""A replica whose interpreter starts while its project is still read, since a single call has to wait for both.

It is begun in the project's folder with what every handler inherits, and is told its environment in its first frame.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from millrace.aws.environment import CREDENTIALS
from millrace.flow.inherited import inherited
from millrace.flow.process import Begun, Child, Process, begin
from millrace.wire import Setting, encode

_LIKELY = "handler"
# Read by the loader, the allocator, the interpreter and what it imports, all before the first frame: what a project
# says of these comes too late for a process that runs already. COVERAGE_ is for one that is measured.
_READ_AT_START = ("COVERAGE_", "DYLD_", "GLIBC_", "HOME", "LANG", "LC_", "LD_", "MALLOC_", "OPENSSL_", "PYTHON")


class HeadStart:
    """A Spawn (flow/process.py) whose first child runs already, where that one will do; `with` ends it if unused."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where the function's code will be looked for."""
        self._folder = folder
        # Never the credentials: what a process is started with can be read there for as long as it lives.
        self._environment = {name: value for name, value in inherited().items() if name not in CREDENTIALS}
        self._begun: Begun | None = None
        with contextlib.suppress(OSError):  # who spawns is told, if it still cannot be done then
            self._begun = begin(str(folder), self._environment, _LIKELY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._begun is not None:
            _end(self._begun)

    def __call__(self, root: str, environment: Mapping[str, str], ended: Callable[[int], None]) -> Child:
        """The child for this folder and environment. Raises OSError when it cannot be started."""
        if self._begun is None or not self._fits(root, environment):
            return Process(root, environment, ended)
        begun, self._begun = self._begun, None
        setting = Setting({os.fsencode(name): os.fsencode(value) for name, value in environment.items()})
        with contextlib.suppress(OSError):  # it is dead already: whoever watches it will see
            begun.connection.sendall(encode(setting))
        return Process(root, environment, ended, begun=begun)

    def _fits(self, root: str, environment: Mapping[str, str]) -> bool:
        # The folder too is what an interpreter starts with: PYTHONPATH may be relative to it.
        return _at_start(environment) == _at_start(self._environment) and os.path.samefile(root, self._folder)


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


def _end(begun: Begun) -> None:
    begun.connection.close()
    for stream in (begun.process.stdout, begun.process.stderr):
        if stream is not None:
            stream.close()
    begun.process.kill()
    begun.process.wait()
