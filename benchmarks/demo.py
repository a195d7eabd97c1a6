"""python -m benchmarks.demo: run `millrace demo` and put what it prints into the README."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.page import ROOT, fill

README = ROOT / "README.md"


def fenced(printed: str) -> str:
    """Terminal output as Markdown: the padding of its table's cells is of no use there."""
    lines = [line.rstrip() for line in printed.strip().splitlines()]
    return "\n".join(["```text", *lines, "```"])


def main(path: Path = README) -> int:
    """Write the page only when the demo passed; its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "millrace", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "80", "PYTHONUNBUFFERED": "1"},
    )
    print(done.stdout, end="")
    if done.returncode == 0:
        fill(path, "demo", fenced(done.stdout))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
