"""A handle on a server process, tried on small programs that stand in for `millrace up`."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from millrace import server_process as module
from millrace.errors import MillraceError
from millrace.server_process import ServerProcess

LISTENING = "print('listening on http://127.0.0.1:4321', flush=True)\n"
UNTIL_TERM = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + LISTENING
WITH_REPLICA = (
    "import subprocess, sys\n"
    "begin = 'print(flush=True); input()'\n"
    "sub = subprocess.Popen([sys.executable, '-c', begin, 'millrace.replica'], stdin=-1, stdout=-1)\n"
    "sub.stdout.readline()\n"  # the system shows a command line only a moment after Popen returned
)
FOREVER = "while True: signal.pause()\n"


def stand_in(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", program))


async def test_it_reads_the_address_and_stops_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("print('hello', flush=True)\n" + UNTIL_TERM + FOREVER, monkeypatch)
    server = await ServerProcess.start(tmp_path)
    assert server.url == "http://127.0.0.1:4321"
    assert await server.stop() == 0
    assert (tmp_path / "server.log").read_text().startswith("hello\n")
    await server.kill()  # once more does nothing


async def test_one_that_ends_at_once_tells_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("raise SystemExit('no such project')", monkeypatch)
    with pytest.raises(MillraceError, match="exited with 1") as caught:
        await ServerProcess.start(tmp_path)
    assert "no such project" in caught.value.hint


async def test_it_kills_a_replica_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("import signal\n" + WITH_REPLICA + UNTIL_TERM + FOREVER, monkeypatch)
    server = await ServerProcess.start(tmp_path)
    try:
        (replica,) = server.replicas()
        watch = os.pidfd_open(replica)
        assert server.kill_replica() == replica
        assert select.select([watch], [], [], 10)[0]
        os.close(watch)
        assert server.kill_replica() is None
        assert psutil.pid_exists(server.pid)
    finally:
        await server.kill()


async def test_one_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTENING + FOREVER
    stand_in(stubborn, monkeypatch)
    server = await ServerProcess.start(tmp_path)
    assert await server.stop(limit_s=0.0) == -signal.SIGKILL


async def test_ready_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(UNTIL_TERM + FOREVER, monkeypatch)
    answers = iter([503, 503, 200])
    transport = httpx.MockTransport(lambda _: httpx.Response(next(answers)))
    server = await ServerProcess.start(tmp_path)
    async with httpx.AsyncClient(transport=transport) as client:
        await server.wait_ready(client)
        assert not list(answers)
        await server.stop()
        with pytest.raises(MillraceError, match="exited with 0"):
            await server.wait_ready(client)


async def test_the_environment_chooses_no_other_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MILLRACE_PROJECT", "/elsewhere")
    stand_in("import os\nprint(os.environ.get('MILLRACE_PROJECT'))\n" + UNTIL_TERM + FOREVER, monkeypatch)
    server = await ServerProcess.start(tmp_path)
    await server.stop()
    assert (tmp_path / "server.log").read_text().startswith("None\n")
