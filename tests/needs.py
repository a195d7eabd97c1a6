"""What a test needs from its surroundings: without it a test is skipped on a laptop and fails in CI (variable CI)."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest


def needs(what: str, found: object) -> None:
    """End the running test unless `found` is true; `what` names the thing for whoever reads the report."""
    if found:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {what}: this test may not be left out there", pytrace=False)
    pytest.skip(f"needs {what}", allow_module_level=True)


def needs_module(*names: str) -> None:
    """Modules of an extra, which `make install` installs."""
    for name in names:
        needs(f"the module {name}", find_spec(name))


def tool(name: str) -> str:
    """The path of a program of `make tools`: aws or sam."""
    path = Path(__file__).resolve().parent.parent / ".venv-tools" / "bin" / name
    needs(f"the command {name} of `make tools`", path.is_file())
    return str(path)


def needs_command(name: str) -> None:
    """A program on the PATH."""
    needs(f"the command {name}", shutil.which(name))
