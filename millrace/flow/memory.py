"""What a process occupies of the machine's memory."""

from __future__ import annotations

import os
import sys

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def rss_bytes(pid: int) -> int:
    """Resident memory of a process, 0 when it is gone."""
    if sys.platform != "linux":
        return _elsewhere(pid)
    try:
        # Not psutil: importing it takes a fiftieth of `invoke`. Source: proc(5), "/proc/pid/statm".
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _elsewhere(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
