"""The servers of SQS's API that `sqs` measures: ours on its file, the others in memory, each started as it says.

sqslite (npm) is left out: it speaks the query protocol alone, which no boto3 since 2023 does. ElasticMQ and LocalStack
are not in the registries from which a benchmark can install.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import npm
from benchmarks.mill import up
from benchmarks.page import ROOT
from benchmarks.served import free_port, served

OURS = "millrace"
_ADDRESS = re.compile(r"AWS endpoint on (http://\S+)")
_PROJECT = {"service": "benchmark", "aws": {"port": 0}}

Peer = Callable[[Path], AbstractContextManager[str]]  # in a folder of its own: the endpoint's URL


@contextlib.contextmanager
def millrace(folder: Path) -> Iterator[str]:
    """`millrace up` on a file, with nothing but the endpoint: its queue is made as the others' is."""
    (folder / "millrace.yml").write_text(json.dumps(_PROJECT))
    with asyncio.Runner() as runner:
        running = up(folder, ready=False)
        server = runner.run(running.__aenter__())
        try:
            yield address(server.log.read_text())
        finally:
            runner.run(running.__aexit__(None, None, None))


def address(log: str) -> str:
    """Where the endpoint is, by what `millrace up` says. Raises ValueError."""
    found = _ADDRESS.search(log)
    if found is None:
        raise ValueError(f"millrace up says of no endpoint: {log[-500:]}")
    return found[1]


def moto(folder: Path) -> AbstractContextManager[str]:
    """moto's own server, in memory."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    return served(command, f"http://127.0.0.1:{port}", folder, npm.environment())


def ministack(folder: Path) -> AbstractContextManager[str]:
    """MiniStack, in memory."""
    port = free_port()
    environment = npm.environment(GATEWAY_PORT=str(port), LOG_LEVEL="WARNING")
    return served([sys.executable, "-m", "ministack"], f"http://127.0.0.1:{port}", folder, environment)


def fauxqs(folder: Path) -> AbstractContextManager[str]:
    """fauxqs, a server for Node, in memory. Raises npm.Absent."""
    modules = npm.install(folder, "fauxqs")  # the newest that this Node runs
    port = free_port()
    environment = npm.environment(FAUXQS_PORT=str(port), FAUXQS_LOGGER="false")
    return served(["node", str(modules / "fauxqs/dist/cli.js")], f"http://127.0.0.1:{port}", folder, environment)


def canned(folder: Path) -> AbstractContextManager[str]:
    """A server whose answers lie ready: the most that boto3 can be given."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.sqs_canned", str(port)]
    return served(command, f"http://127.0.0.1:{port}", folder, npm.environment(PYTHONPATH=str(ROOT)))


BOUND = "nothing but answers"
PEERS: dict[str, Peer] = {OURS: millrace, "moto": moto, "MiniStack": ministack, "fauxqs": fauxqs, BOUND: canned}
