"""`python -m tests.services [COMMAND...]`: start every private server, run COMMAND with their URLs, stop them.

Without a command it prints the variables and waits for Ctrl-C. The exit code is COMMAND's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from tests.services import VARIABLES
from tests.services.install import install
from tests.services.nats import Nats
from tests.services.postgres import Postgres
from tests.services.rabbitmq import Rabbitmq
from tests.services.redis import Redis
from tests.services.server import Server, ServiceError

KINDS: Sequence[type[Server]] = (Rabbitmq, Redis, Nats, Postgres)  # the slowest first


def main(command: list[str]) -> int:
    """The exit code of the command, 128 + n when signal n ended it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with ExitStack() as stack:
        try:
            servers = [stack.enter_context(kind()) for kind in install(KINDS)]
            for server in servers:
                server.launch()
            variables = {VARIABLES[server.name]: server.wait_ready() for server in servers}
            return _run(command, variables) if command else _wait(variables)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except ServiceError as error:
            print(f"services: {error}", file=sys.stderr)
            return 1


def _run(command: list[str], variables: dict[str, str]) -> int:
    """Ctrl-C reaches the command too, which ends in its own way; SIGTERM is handed on to it."""
    with subprocess.Popen(command, env=os.environ | variables) as process:
        while True:
            try:
                code = process.wait()
                return 128 - code if code < 0 else code
            except KeyboardInterrupt:
                continue
            except SystemExit:
                process.terminate()
                process.wait()
                raise


def _wait(variables: dict[str, str]) -> int:
    for name, url in variables.items():
        print(f"export {name}={url}")
    print("# Ctrl-C stops them", flush=True)
    signal.pause()
    return 0


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
