"""Who a private NATS server lets in: a user, a token, an NKey, a JWT, a certificate; and what others are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from millrace.broker import Queue
from millrace.brokers.nats import open_broker
from millrace.brokers.nats.broker import NatsBroker
from millrace.errors import BrokerDenied, BrokerError
from millrace.types import Message, Put
from tests.certificates import certificate
from tests.faults.nats_people import Identity, Realm
from tests.needs import needs
from tests.services.nats import Nats


class Guarded(Nats):
    """With more lines in its configuration."""

    more = ""

    def prepare(self) -> None:
        super().prepare()
        with (self.folder / "nats.conf").open("a") as file:
            file.write(self.more)


@contextmanager
def guarded(more: str) -> Iterator[str]:
    """Such a server; HOST:PORT."""
    needs("nats-server", Nats.program())
    with Guarded() as server:
        server.more = more
        server.start()
        yield f"127.0.0.1:{server.port}"


def encrypted(folder: Path, *more: str) -> tuple[str, str]:
    """A server's TLS block, and the option that trusts it."""
    folder.mkdir()
    shown, key = certificate(folder)
    block = "\n".join((f'cert_file: "{shown}"', f'key_file: "{key}"', *more))
    return f"tls {{\n{block}\n}}\n", f"cafile={shown}"


async def works(url: str) -> None:
    """Put and take."""
    broker = await open_broker(url)
    try:
        await broker.declare([Queue("work")])
        await broker.put([Put("work", Message("a", b"x"))])
        assert [lease.message.id for lease in await broker.take("work", 1)] == ["a"]
    finally:
        await broker.drop(["work"])
        await broker.close()


async def refusal(url: str) -> BrokerError:
    with pytest.raises(BrokerError) as refused:
        await open_broker(url)
    assert "opensesame" not in str(refused.value), "expected no secret in an error"
    return refused.value


async def test_a_user_and_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded('authorization { user: "me", password: "open:sesame" }\n') as host:
        await works(f"nats://me:open%3Asesame@{host}")
        monkeypatch.setenv("MILLRACE_BROKER_USER", "me")
        monkeypatch.setenv("MILLRACE_BROKER_PASSWORD", "open:sesame")
        await works(f"nats://{host}")
        monkeypatch.undo()
        wrong = await refusal(f"nats://me:opensesame@{host}")
        assert isinstance(wrong, BrokerDenied)
        assert "refuses this user" in wrong.problem
        assert "correct user and password" in wrong.hint
        assert "MILLRACE_BROKER_CREDS" in (await refusal(f"nats://{host}")).hint, "expected every way to be named"


async def test_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded('authorization { token: "opensesame" }\n') as host:
        await works(f"nats://opensesame@{host}")
        monkeypatch.setenv("MILLRACE_BROKER_USER", "opensesame")
        await works(f"nats://{host}")
        assert "correct the token" in (await refusal(f"nats://opensesame2@{host}")).hint


async def test_an_nkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me, other = Identity("user"), Identity("user")
    seed, wrong = tmp_path / "me.nk", tmp_path / "other.nk"
    seed.write_text(me.seed + "\n")
    wrong.write_text(other.seed)
    with guarded(f"authorization {{ users: [ {{ nkey: {me.public} }} ] }}\n") as host:
        await works(f"nats://{host}?creds={seed}")
        monkeypatch.setenv("MILLRACE_BROKER_CREDS", str(seed))
        await works(f"nats://{host}")
        denied = await refusal(f"nats://{host}?creds={wrong}")
        assert isinstance(denied, BrokerDenied)
        assert str(wrong) in denied.hint
        assert other.seed not in str(denied)


async def test_a_credentials_file_and_its_successor(tmp_path: Path) -> None:
    realm = Realm()
    path = realm.credentials(tmp_path / "me.creds")
    with guarded(realm.configuration()) as host:
        await works(f"nats://{host}?creds={path}")
        stranger = Realm().credentials(tmp_path / "stranger.creds")
        assert "nsc generate creds" in (await refusal(f"nats://{host}?creds={stranger}")).hint
        broker = await open_broker(f"nats://{host}?creds={path}")
        assert isinstance(broker, NatsBroker)
        realm.credentials(path)  # what nsc does when the old ones are about to expire
        link = broker._link
        assert link._wire is not None
        assert link._wire.transport is not None
        link._wire.transport.abort()
        async with asyncio.timeout(60.0):
            while link.connections < 2:
                await asyncio.sleep(0.01)
        assert await broker.queues() == []
        await broker.close()


async def test_a_server_without_nkeys_and_files_that_are_none(tmp_path: Path) -> None:
    seed = tmp_path / "me.nk"
    seed.write_text(Identity("user").seed)
    with guarded("") as host:
        assert "knows no NKeys" in (await refusal(f"nats://{host}?creds={seed}")).problem


async def test_encryption(tmp_path: Path) -> None:
    block, trusted = encrypted(tmp_path / "server")
    with guarded(block + 'authorization { user: "me", password: "secret" }\n') as host:
        await works(f"tls://me:secret@{host}?{trusted}")
        assert "refuses this user" in (await refusal(f"tls://me:opensesame@{host}?{trusted}")).problem
        assert "cannot be trusted" in (await refusal(f"tls://me:secret@{host}")).problem
        assert "encrypted connections only" in (await refusal(f"nats://me:secret@{host}")).problem


async def test_a_clients_certificate(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    shown, key = certificate(tmp_path / "client")
    block, trusted = encrypted(tmp_path / "server", f'ca_file: "{shown}"', "verify: true")
    with guarded(block) as host:
        await works(f"tls://{host}?{trusted}&certfile={shown}&keyfile={key}")
        missing = await refusal(f"tls://{host}?{trusted}")
        assert isinstance(missing, BrokerDenied)
        assert "?certfile=" in missing.hint
