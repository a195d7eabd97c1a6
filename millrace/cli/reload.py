"""--reload: the command in a child process, drained and started anew when a file of the project changes.

Files are polled by modification time: half a second is soon enough for a person, works on every file system, and
needs no library.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from millrace.cli.output import note

_POLL_S = 0.5
_SUFFIXES = (".py", ".yml", ".yaml")
_PROJECT_FILES = {"serverless.json", "template.json", "zappa_settings.json", "zappa_settings.toml"}
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}

Snapshot = dict[str, int]


def supervise(root: Path, arguments: Sequence[str], poll_s: float = _POLL_S) -> int:
    """Run `millrace ARGUMENTS` until a signal ends it, again whenever something below root changes; its exit code."""
    return _Supervisor(root, arguments, poll_s).run()


def snapshot(root: Path) -> Snapshot:
    """Modification times of the source files below root, hidden folders left out."""
    return dict(_sources(root))


def _sources(root: Path) -> Iterator[tuple[str, int]]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for name in files:
            if name.endswith(_SUFFIXES) or name in _PROJECT_FILES:
                path = os.path.join(folder, name)
                try:
                    yield path, os.stat(path).st_mtime_ns
                except FileNotFoundError:
                    continue


class _Supervisor:
    """One child at a time; signals go on to it, and end the supervision."""

    def __init__(self, root: Path, arguments: Sequence[str], poll_s: float) -> None:
        self._root = root
        self._command = [sys.executable, "-m", "millrace", *arguments]
        self._poll_s = poll_s
        self._signals, self._told = os.pipe()  # no Event: a handler that runs while its lock is held would hang
        self._signalled = False
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._pass_on)
        seen = snapshot(self._root)
        while True:
            # In a group of its own: Ctrl-C in the terminal reaches it once, through us.
            self._child = subprocess.Popen(self._command, process_group=0)
            if changed := self._until_changed(seen):
                note(f"changed: {', '.join(sorted(changed)[:3])}; starting anew")
                self._child.terminate()
            code = self._child.wait()
            if self._signalled:
                return code if code >= 0 else 128 - code
            seen = snapshot(self._root)

    def _until_changed(self, seen: Snapshot) -> set[str]:
        """The files that changed, none when a signal came instead. A child that failed waits for its mending."""
        while not select.select([self._signals], [], [], self._poll_s)[0]:
            now = snapshot(self._root)
            if now != seen:
                return {os.path.relpath(path, self._root) for path, _ in now.items() ^ seen.items()}
        return set()

    def _pass_on(self, number: int, frame: object) -> None:
        self._signalled = True
        os.write(self._told, b".")
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)
