"""What a process occupies of the machine's memory."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from millrace.flow.memory import rss_bytes


def test_it_is_what_psutil_says() -> None:
    mine = psutil.Process().memory_info().rss
    assert 0.5 * mine < rss_bytes(os.getpid()) < 2 * mine


def test_one_that_is_gone_occupies_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        # Dead and not reaped: its number is still its own.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert rss_bytes(process.pid) == 0
    assert rss_bytes(process.pid) == 0
