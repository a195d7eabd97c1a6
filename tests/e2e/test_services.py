"""The tests' own servers: they answer, they keep their data over a kill, and they are gone afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from needs import needs, needs_module

from tests.services.nats import Nats
from tests.services.postgres import Postgres
from tests.services.processes import send, tree, wait_still
from tests.services.rabbitmq import Rabbitmq
from tests.services.redis import Redis
from tests.services.server import Server, ServiceError

ROOT = Path(__file__).resolve().parent.parent.parent
ONLY_REDIS = (
    "import sys, tests.services.__main__ as runner; from tests.services.redis import Redis;"
    "runner.KINDS = (Redis,); sys.exit(runner.main(sys.argv[1:]))"
)

EIGHT_THREADS = (
    "import threading, time; [threading.Thread(target=time.sleep, args=(600,)).start() for _ in range(8)];"
    "print(flush=True)\nwhile True: pass"
)


async def write_redis(url: str) -> None:
    import redis.asyncio

    async with redis.asyncio.from_url(url) as client:
        await client.set("kept", "yes")


async def read_redis(url: str) -> object:
    import redis.asyncio

    async with redis.asyncio.from_url(url) as client:
        return await client.get("kept")


async def write_nats(url: str) -> None:
    import nats

    client = await nats.connect(url)
    await client.jetstream().add_stream(name="kept", subjects=["kept"])
    await client.jetstream().publish("kept", b"yes")
    await client.close()


async def read_nats(url: str) -> object:
    import nats

    client = await nats.connect(url)
    found = (await client.jetstream().get_msg("kept", 1)).data
    await client.close()
    return found


async def write_postgres(url: str) -> None:
    import psycopg

    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("create table kept as select 'yes' as word")


async def read_postgres(url: str) -> object:
    import psycopg

    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute("select word from kept")).fetchone()
        return row[0].encode() if row else None


async def write_rabbitmq(url: str) -> None:
    import aio_pika

    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.declare_queue("kept", durable=True)
        message = aio_pika.Message(b"yes", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="kept")


async def read_rabbitmq(url: str) -> object:
    import aio_pika

    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("kept", passive=True)
        found = await queue.get(no_ack=True)
        return found.body


@pytest.mark.timeout(400)  # two starts of RabbitMQ
@pytest.mark.parametrize(
    ("kind", "module", "write", "read"),
    [
        (Redis, "redis", write_redis, read_redis),
        (Nats, "nats", write_nats, read_nats),
        (Postgres, "psycopg", write_postgres, read_postgres),
        (Rabbitmq, "aio_pika", write_rabbitmq, read_rabbitmq),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_data_outlives_a_kill_and_is_removed_in_the_end(
    tmp_path: Path,
    kind: type[Server],
    module: str,
    write: Callable[[str], Awaitable[None]],
    read: Callable[[str], Awaitable[object]],
) -> None:
    needs(kind.package, kind.program())
    needs_module(module)
    with kind() as server:
        url = server.start(tmp_path)
        asyncio.run(write(url))
        server.kill()
        assert not listens(server.port)
        server.restart()
        assert server.url == url
        assert asyncio.run(read(url)) == b"yes"
    assert not listens(server.port)
    assert list(tmp_path.iterdir()) == []


def test_a_paused_server_keeps_connections_and_answers_when_it_goes_on(tmp_path: Path) -> None:
    needs("redis-server", Redis.program())
    with Redis() as server:
        server.start(tmp_path)
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as client:
            server.pause()
            client.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                client.recv(16)
            server.resume()
            client.settimeout(60)
            assert client.recv(16) == b"+PONG\r\n"
            server.pause()
            server.stop()


def test_a_process_stands_still_with_all_of_its_threads() -> None:
    with subprocess.Popen([sys.executable, "-c", EIGHT_THREADS], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.readline()
        family = tree(run.pid)
        assert not wait_still(family, 0.0)
        send(family, signal.SIGSTOP)
        assert wait_still(family, 60)
        found = [
            each.read_text().rpartition(")")[2].split()[0] for each in Path(f"/proc/{run.pid}").glob("task/*/stat")
        ]
        assert found == ["T"] * 9
        send(family, signal.SIGKILL)
        run.wait()
        assert wait_still(family, 60), "expected what is over to stand still"


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    needs("redis-server", Redis.program())
    with Redis({"no-such-option": "1"}) as server, pytest.raises(ServiceError, match="no-such-option"):
        server.start(tmp_path)


def test_a_command_gets_the_variables_and_gives_its_exit_code() -> None:
    needs("redis-server", Redis.program())
    code = "import os, sys; print(os.environ['MILLRACE_TEST_REDIS']); sys.exit(7)"
    done = subprocess.run(
        [sys.executable, "-c", ONLY_REDIS, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr
    assert not listens(int(done.stdout.strip().removesuffix("/0").rpartition(":")[2]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_runner_is_interrupted_or_killed(tmp_path: Path, number: signal.Signals) -> None:
    needs("redis-server", Redis.program())
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", ONLY_REDIS], cwd=ROOT, env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        port = int(run.stdout.readline().decode().strip().removesuffix("/0").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            run.send_signal(number)
            with suppress(ConnectionResetError):  # a server that is killed may close it in this way
                assert client.recv(1) == b"", "expected the connection to be closed by the server's end"
        run.wait()
    wait_until_empty(tmp_path)
    while listens(port):  # of a process that is killed the kernel closes what it has open one by one
        time.sleep(0.01)


def test_a_missing_server_is_named_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.services.install import install

    class Absent(Redis):
        package = "absent-server"
        program = classmethod(lambda cls: None)  # type: ignore[assignment]

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("CI", raising=False)
    assert install([Redis, Absent]) == [Redis] if Redis.program() else []
    assert "apt-get install absent-server" in capfd.readouterr().err
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SystemExit):
        install([Absent])


def test_what_is_missing_is_installed_when_we_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tests.services.install import install

    class Installed(Redis):
        package = "some-server"

        @classmethod
        def program(cls) -> Path | None:
            return tmp_path if "install --yes" in said() else None

    def said() -> str:
        return log.read_text() if log.exists() else ""

    log = tmp_path / "log"
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$RUNLEVEL $@" >> {log}\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert install([Installed]) == [Installed]
    assert said() == "1 -qq update\n1 -qq install --yes --no-install-recommends some-server\n"


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until_empty(folder: Path) -> None:
    """The guard of a killed runner works after it; the test's own time limit ends the waiting."""
    while any(folder.iterdir()):
        time.sleep(0.01)
