"""Getting the servers: from Debian's packages where we may, else by saying what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from tests.services.server import Server


def install(kinds: Sequence[type[Server]]) -> list[type[Server]]:
    """Those of `kinds` whose program is there in the end; what is missing is said on stderr.

    Raises SystemExit in CI (variable CI) when one is missing.
    """
    missing = [kind for kind in kinds if kind.program() is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        _apt_get(missing)
        missing = [kind for kind in kinds if kind.program() is None]
    if missing:
        packages = " ".join(kind.package for kind in missing)
        _say(f"not installed: {packages}\n  tests that need them are skipped; to run them: apt-get install {packages}")
        if os.environ.get("CI"):
            raise SystemExit("CI must have every server")
    return [kind for kind in kinds if kind not in missing]


def _apt_get(missing: Sequence[type[Server]]) -> None:
    packages = [kind.package for kind in missing]
    _say(f"installing {' '.join(packages)}: a minute or two")
    # RUNLEVEL keeps Debian's scripts from starting the servers on their usual ports.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-qq", *words], env=environment, capture_output=True, text=True)
        if done.returncode:
            _say(f"apt-get {words[0]} failed:\n{done.stdout}{done.stderr}")


def _say(text: str) -> None:
    print(f"services: {text}", file=sys.stderr, flush=True)
