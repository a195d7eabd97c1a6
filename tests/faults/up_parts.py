"""`millrace up` in a process of its own, killed in the end, and what a client of its AWS endpoint needs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Up:
    """A running process: `client` are the keywords of boto3.client."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.pid = process.pid
        self.client: dict[str, Any] = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "a",
            "aws_secret_access_key": "b",
        }

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@contextmanager
def running(root: Path) -> Iterator[Up]:
    """The project of a folder, from the moment its endpoint answers until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace", "up"],
        cwd=root,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = []
        for line in process.stdout or ():
            said.append(line)
            if found := re.search(r"AWS endpoint on (http://[^ ]+)", line):
                break
        else:
            raise AssertionError("".join(said))
        yield Up(process, found[1])
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
