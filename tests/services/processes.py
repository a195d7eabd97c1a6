"""Signals to a process and all that descend from it, and a guard that ends them should their owner die first."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

# EOF on its input means that whoever started the servers is gone without having said so: SIGKILL, out of memory.
_GUARD = 'read -r _ || { kill -KILL "-$1"; rm -rf -- "$2"; }'
# Stopped, held by a debugger, or over; psutil's words are for systems without /proc.
_STILL = {"T", "t", "Z", "X", psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}


def tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants, the process first; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that live."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def wait_gone(processes: Iterable[psutil.Process], limit_s: float) -> bool:
    """Whether all of them ended in time; one that nobody reaps has ended too."""
    until = time.monotonic() + limit_s
    while any(_lives(process) for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def wait_still(processes: Iterable[psutil.Process], limit_s: float) -> bool:
    """Whether every thread of all of them stood still in time.

    SIGSTOP is only sent when `kill` returns: until some thread of the process runs and takes it, all others go on.
    """
    until = time.monotonic() + limit_s
    while not all(_stands(process) for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def guard(group: int, folder: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a process that kills the group, and removes the folder, when this process dies; `dismiss` ends it."""
    return subprocess.Popen(
        ["sh", "-c", _GUARD, "guard", str(group), str(folder or "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def dismiss(guard: subprocess.Popen[bytes]) -> None:
    """Tell a guard that what it looked after has ended in order."""
    guard.communicate(b"done\n")


def unprivileged(user: str, command: list[str]) -> list[str]:
    """The command as `user` when we are root, for programs that refuse root; it may still enter our own folders."""
    if os.geteuid() != 0:
        return command
    capable = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *capable, *command]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _stands(process: psutil.Process) -> bool:
    try:
        states = {_state(thread) for thread in Path(f"/proc/{process.pid}/task").glob("*/stat")}
        return (states or {process.status()}) <= _STILL
    except psutil.NoSuchProcess:
        return True


def _state(thread: Path) -> str:
    """The first word behind the program's name, which stands in brackets and may hold any: man 5 proc."""
    try:
        return thread.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
