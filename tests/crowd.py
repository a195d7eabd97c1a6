"""`python -m tests.crowd [PYTEST OPTIONS...]`: all tests beside each other, and what failed there once more, alone.

Tests of real processes and servers share a machine of two cores or so, which can stand still for longer than they
expect. What fails in that crowd and passes alone is printed, and is to be mended, but is not held against a change.
Unit tests have no such excuse, and many failures at once are no accident: those count as they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

EXCUSED = ("tests/conformance/", "tests/docs/", "tests/e2e/", "tests/faults/")
MOST = 4
_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_TESTS_FAILED = 1  # pytest's exit code


def main(options: Sequence[str]) -> int:
    """pytest's exit code: of all tests, or of those that get a second chance."""
    code = _pytest("--cache-clear", *options)
    failed = chance(list(json.loads(_FAILED.read_text()))) if code == _TESTS_FAILED else []
    if not failed:
        return code
    print("\nonce more, alone:", *failed, sep="\n  ", flush=True)
    appending = [f"{each}-append" for each in options if each == "--cov"]
    reports = [each for each in options if each.startswith("--cov")]
    code = _pytest(*failed, *reports, *appending)
    if not code:
        print("\npassed alone, failed in the crowd, to be mended:", *failed, sep="\n  ", flush=True)
    return code


def chance(failed: Sequence[str]) -> list[str]:
    """Those of the failed tests that are run again: all or none."""
    excused = len(failed) <= MOST and all(each.startswith(EXCUSED) for each in failed)
    return list(failed) if excused else []


def _pytest(*arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", "-p", "tests.torn_coverage", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
