"""Holds the coverage that `make test` left in .coverage against its bars: every file, shown room by room."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

WHOLE = {"flow", "brokers"}  # every line of what keeps the promises
# Some of their lines are for a network or a server that fails at a certain moment: not every run comes by.
ELSEWHERE = {"rabbitmq", "sqs", "redis", "nats"}
MOCKED = {"kafka"}  # its mock cluster cannot make topics, nor ask for a password
BAR = {True: 100.0, False: 90.0}
ELSEWHERE_BAR, MOCKED_BAR = 80.0, 50.0


def main() -> int:
    """Print a line a room and one for each file under its bar; 1 if there is one."""
    read = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    files = json.loads(subprocess.run(read, check=True, stdout=subprocess.PIPE).stdout)["files"]
    rooms: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path, found in files.items():
        rooms[room_of(path)].append(found["summary"])
    for room, summaries in sorted(rooms.items()):
        lines, covered = (sum(each[key] for each in summaries) for key in ("num_statements", "covered_lines"))
        least = min(each["percent_covered"] for each in summaries)
        print(f"{room:12}{covered:6} of {lines:5} lines {100 * covered / max(lines, 1):6.1f} %   least {least:5.1f} %")
    under = [path for path, found in files.items() if found["summary"]["percent_covered"] < bar_of(path)]
    for path in under:
        percent, missing = files[path]["summary"]["percent_covered"], files[path]["missing_lines"]
        print(f"{path}: {percent:.1f} %, expected {bar_of(path):.0f} %; lines not run: {missing}", file=sys.stderr)
    return 1 if under else 0


def room_of(path: str) -> str:
    parts = PurePosixPath(path).parts
    return parts[1] if len(parts) > 2 else "(top)"


def bar_of(path: str) -> float:
    parts = set(PurePosixPath(path).parts)
    if MOCKED & parts:
        return MOCKED_BAR
    return ELSEWHERE_BAR if ELSEWHERE & parts else BAR[room_of(path) in WHOLE]


if __name__ == "__main__":
    sys.exit(main())
