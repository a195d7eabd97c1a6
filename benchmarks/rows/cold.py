"""The first `millrace invoke` of a serverless.yml: the whole process, in a folder that never ran anything."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks import mill, offline
from benchmarks.measured import Figure

WHAT = "millrace invoke of a cold project (serverless.yml, nothing runs)"
_COMMAND = (sys.executable, "-m", "millrace", "invoke", "hello")


def measure(quick: bool) -> list[Figure]:
    first_s()  # Python's own bytecode is there after an installation
    times_s = [first_s() for _ in range(3 if quick else 15)]
    return [Figure("cold invoke", WHAT, times_s, "at most", 0.7, "s", "from spawn to exit; a new folder each time")]


def first_s() -> float:
    """Seconds from the command to its end, its answer checked."""
    with mill.scratch() as folder:
        offline.write(folder)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        began = time.perf_counter()
        done = subprocess.run(_COMMAND, cwd=folder, env=environment, capture_output=True, text=True)
        elapsed_s = time.perf_counter() - began
        if done.returncode or "Hello world" not in done.stdout:
            raise RuntimeError(f"invoke gave {done.returncode}: {done.stderr[-1000:]}")
        return elapsed_s
