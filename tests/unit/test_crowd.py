"""What failed in the crowd has a second chance alone, and only one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crowd import MOST, chance

ROOT = Path(__file__).resolve().parents[2]
_ONCE = """\
from pathlib import Path


def test_it():
    seen = Path("seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""


def test_unit_tests_and_many_failures_have_none() -> None:
    ours = [f"tests/faults/test_x.py::test_{number}" for number in range(MOST + 1)]
    assert chance(ours[:MOST]) == ours[:MOST]
    assert chance(ours) == []
    assert chance([ours[0], "tests/unit/test_y.py::test_z"]) == []
    assert chance([]) == []


@pytest.mark.parametrize(
    ("folder", "text", "code", "said"),
    [
        ("faults", _ONCE, 0, "passed alone, failed in the crowd"),
        ("faults", "def test_it():\n    assert False\n", 1, "once more, alone"),
        ("unit", _ONCE, 1, "1 failed"),
        ("faults", "def test_it():\n    pass\n", 0, "1 passed"),
    ],
)
def test_what_fails_twice_has_failed(tmp_path: Path, folder: str, text: str, code: int, said: str) -> None:
    place = tmp_path / "tests" / folder / "test_some.py"
    place.parent.mkdir(parents=True)
    place.write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    # Each pytest it starts would load every plugin here and be measured, though nothing of millrace runs in it.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)
    command = [sys.executable, str(ROOT / "tests" / "crowd.py"), "-p", "no:randomly", "tests"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert said in ran.stdout
