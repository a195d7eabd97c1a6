"""The machine that the figures come from: what it is, in one line, and how busy it was."""

from __future__ import annotations

import os
import platform
import sqlite3
from pathlib import Path

import psutil


def describe() -> str:
    """Processor, cores, memory, system and the versions that matter."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory_gib:.0f} GiB; {platform.system()} "
        f"{platform.release().partition('-')[0]}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def busy_s() -> float:
    """CPU seconds of all cores since the machine started, whoever spent them."""
    spent = psutil.cpu_times()
    return float(spent.user + spent.nice + spent.system + spent.irq + spent.softirq)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
