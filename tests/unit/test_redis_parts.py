"""The parts of the Redis adapter that need no server: fields, arguments, replies, advice, intake, its connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.broker import Queue
from millrace.broker_address import parse_address
from millrace.brokers.redis import connection as connection_module
from millrace.brokers.redis import link as link_module
from millrace.brokers.redis import open_broker
from millrace.brokers.redis.advice import faults_of
from millrace.brokers.redis.connection import Connection
from millrace.brokers.redis.fields import envelope_in, fields_of, id_in, id_text, place_of
from millrace.brokers.redis.intake import Intake
from millrace.brokers.redis.leases import entry_and_token, extra_of
from millrace.brokers.redis.link import Link
from millrace.brokers.redis.putting import accepted_of, arguments_of, by_queue
from millrace.brokers.redis.replies import Refusal, Transient, error_of
from millrace.brokers.redis.settings import settings_text
from millrace.errors import BrokerDenied, BrokerError, StorageError, StorageFull, TooLarge
from millrace.types import Accepted, Lease, Message, Outcome, Put

ADDRESS = parse_address("redis://u:s3cret@host:1/0", {"redis": 6379}, environ={})
_TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@given(_TEXT, st.binary(), st.dictionaries(_TEXT | st.just("body"), _TEXT), _TEXT)
def test_any_message_survives_its_fields(id: str, body: bytes, attributes: dict[str, str], group: str) -> None:
    message = Message(id or "x", body, attributes, 5.25, group)
    stored, pairs = fields_of(message)
    found = envelope_in("7-1", [each.encode() if isinstance(each, str) else each for each in pairs]).message
    assert found == message
    assert id_in(stored) == message.id
    assert id_text(message.id) == stored


def test_places_grow_as_entries_do() -> None:
    places = [place_of(entry) for entry in ("1-0", "1-1", "2-0", "1795286299554-0", "1795286299554-9999")]
    assert places == sorted(places)
    assert places[-1] < 2**63


def test_puts_are_told_queue_by_queue_and_answered_in_order() -> None:
    puts = [
        Put("a", Message("1", sent_at=1.0)),
        Put("b", Message("ключ", sent_at=1.0), delay_s=1.5, ttl_s=0.0001, dedupe="k"),
        Put("a", Message("3")),
    ]
    queues = by_queue(puts)
    assert queues == {"a": [0, 2], "b": [1]}
    arguments = arguments_of(puts, queues, 9.0)
    assert arguments[:6] == [2, "a", 2, "1", "", 6]
    assert arguments[-9:-6] == [id_text("ключ"), '{"dedupe":"k","delay_ms":1500,"ttl_ms":1}', 6]
    assert "9.0" in arguments, "expected a message without a time to be sent now"
    answers = [b"5-0", [b"3", b""], [id_text("первый").encode(), b"4-2"]]
    assert accepted_of(puts, queues, answers) == [
        Accepted("1", False, place_of("5-0")),
        Accepted("первый", True, place_of("4-2")),
        Accepted("3", True, 0),
    ]


def test_a_declaration_has_no_empty_bounds() -> None:
    assert settings_text(Queue("q", 0.5, None, dedupe_s=1e300, dead_to="d")) == (
        '{"lease_ms":500,"fifo":false,"dedupe_ms":100000000000000,"delay_ms":0,"dead_to":"d"}'
    )


@pytest.mark.parametrize("receipt", [(), 1, ("1-1",), ("1-1", "2"), ("x", 1), ("1-1; DEL", 1), ("9" * 30 + "-1", 1)])
def test_what_is_no_receipt_is_nobodys(receipt) -> None:
    assert entry_and_token(Lease("q", Message(""), receipt, 1, 0.0)) == ("0-0", "?")


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", StorageFull, "max_depth"),
        ("MISCONF Redis is configured to save RDB snapshots", StorageError, "disk"),
        ("WRONGPASS invalid username-password pair", BrokerDenied, "MILLRACE_BROKER_PASSWORD"),
        ("ERR AUTH <password> called without any password configured", BrokerDenied, "credentials"),
        ("NOPERM this user has no permissions", BrokerError, "may not do that"),
        ("MOVED 3999 127.0.0.1:6381", BrokerError, "one shard"),
        ("ERR unknown command 'HELLO'", BrokerError, "Redis 7"),
        ("ERR DB index is out of range", BrokerDenied, "`databases`"),
        ("ERR Protocol error: invalid bulk length", TooLarge, "proto-max-bulk-len"),
        ("ERR something else", BrokerError, "something else"),
    ],
)
def test_replies_become_errors_that_say_what_to_do(reply: str, kind: type[Exception], said: str) -> None:
    error = error_of(reply, ADDRESS)
    assert type(error) is kind
    assert said in str(error)
    assert "host:1" in str(error)
    assert "s3cret" not in str(error)


def test_refusals_and_what_passes() -> None:
    refusal = error_of("QUEUEFULL 2 10 11 1 script: abc, on @user_script:5.", ADDRESS)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.numbers) == ("QUEUEFULL", [2, 10, 11, 1])
    loading, replica = error_of("LOADING Redis is loading", ADDRESS), error_of("READONLY You can't write", ADDRESS)
    assert isinstance(loading, Transient)
    assert isinstance(replica, Transient)
    assert (loading.elsewhere, replica.elsewhere) == (False, True)


def test_advice_is_for_settings_that_lose_messages() -> None:
    good = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    assert faults_of(good) == faults_of({}) == []
    assert "appendonly" in faults_of(good | {"appendonly": "no"})[0]
    assert "power loss" in faults_of(good | {"appendfsync": "no"})[0]
    assert "evicted" in faults_of(good | {"maxmemory-policy": "volatile-lru"})[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://host/jobs", "database is 'jobs'"),
        ("redis://host/0?wait_replicas=many", "wait_replicas='many'"),
        ("redis://host/0?wait=1", "unknown option 'wait'"),
    ],
)
async def test_odd_urls_are_refused(url: str, said: str) -> None:
    with pytest.raises(BrokerError, match=said):
        await open_broker(url)


def put_of(id: str, size: int = 1) -> list[Put]:
    return [Put("q", Message(id, bytes(size)))]


def gated() -> tuple[list[int], asyncio.Event, Intake]:
    """An intake whose scripts are answered while the gate is open, and how many puts each had."""
    shares: list[int] = []
    gate = asyncio.Event()

    async def store(puts):
        shares.append(len(puts))
        await gate.wait()
        return [Accepted(put.message.id) for put in puts]

    return shares, gate, Intake(store)


async def test_puts_that_come_together_share_a_script() -> None:
    shares, gate, intake = gated()
    putting = [asyncio.ensure_future(intake.put(put_of(str(number)))) for number in range(40)]
    large = asyncio.ensure_future(intake.put(put_of("large", 70_000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    putting[5].cancel()
    gate.set()
    answers = await asyncio.gather(*putting, large, return_exceptions=True)
    assert [answer[0].id for answer in answers if isinstance(answer, list)] == [
        *(str(number) for number in range(40) if number != 5),
        "large",
    ]
    assert len(shares) <= 5, f"expected the puts to share, got {shares}"


async def test_who_goes_away_while_a_script_is_under_way_takes_nobodys_answer() -> None:
    shares, gate, intake = gated()
    putting = [asyncio.ensure_future(intake.put(put_of(id))) for id in "abcdef"]
    while len(shares) < 2:
        await asyncio.sleep(0)
    gate.set()
    await putting[0]
    gate.clear()
    while len(shares) < 3:
        await asyncio.sleep(0)
    assert shares == [1, 1, 4]
    putting[3].cancel()
    gate.set()
    answers = await asyncio.gather(*putting, return_exceptions=True)
    assert [answer[0].id for answer in answers if isinstance(answer, list)] == [*"abcef"]


async def test_a_shared_script_is_bounded() -> None:
    shares: list[int] = []

    async def store(puts):
        shares.append(len(puts))
        await asyncio.sleep(0)
        return [Accepted(put.message.id) for put in puts]

    intake = Intake(store)
    await asyncio.gather(*(intake.put(put_of(str(number), 30_000)) for number in range(10)))
    assert shares[:2] == [1, 1], "expected the first not to wait for others"
    assert set(shares[2:]) == {2}, f"expected no more than 64 KB together, got {shares}"


async def test_what_is_refused_harms_nobody_else() -> None:
    async def store(puts):
        if any(put.message.id == "bad" for put in puts):
            raise Refusal("QUEUEFULL", [1, 2, 2, 1])
        return [Accepted(put.message.id) for put in puts]

    intake = Intake(store)
    answers = await asyncio.gather(
        *(intake.put(put_of(id)) for id in ("a", "b", "c", "bad", "d")), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [list, list, list, Refusal, list]


async def test_an_error_that_nobody_foresaw_is_told_to_whom_it_concerns() -> None:
    async def store(puts):
        if any(put.message.id == "odd" for put in puts):
            raise OverflowError("of some library")
        return [Accepted(put.message.id) for put in puts]

    intake = Intake(store)
    puts = asyncio.gather(*(intake.put(put_of(id)) for id in ("odd", "a", "odd", "b")), return_exceptions=True)
    answers = await asyncio.wait_for(puts, 5.0)
    assert [type(answer) for answer in answers] == [OverflowError, list, OverflowError, list]


async def test_an_error_of_the_server_is_everybodys() -> None:
    async def store(puts):
        raise BrokerError("away")

    intake = Intake(store)
    answers = await asyncio.gather(*(intake.put(put_of(id)) for id in "abcd"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [BrokerError] * 4


@asynccontextmanager
async def saying(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """A server that answers whatever it gets; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError, ConnectionError):
            while got := await reader.read(65536):
                writer.write(answer(got))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


HELLO = b"*4\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no Redis"),
        (b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n", "nobody asked for"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (HELLO.replace(b"7.0.0", b"6.2.1") + b"+PONG\r\n+OK\r\n", "6.2.1"),
        (HELLO.replace(b"$6\r\nmaster", b"$7\r\nreplica") + b"+PONG\r\n+OK\r\n", "replica"),
    ],
)
async def test_odd_servers_are_told(answer: bytes, said: str) -> None:
    def once(got: bytes) -> bytes:
        return answer if b"HELLO" in got else b""

    if b"version" in answer:
        replies = iter([answer.partition(b"+PONG")[0], b"+PONG\r\n", b"+OK\r\n"])
        async with saying(lambda got: next(replies, b"")) as url:
            with pytest.raises(BrokerError, match=said):
                await open_broker(url)
        return
    async with saying(once) as url:
        with pytest.raises(BrokerError, match=said):
            await open_broker(url)


async def test_who_answers_and_is_no_redis_is_not_said_to_be_silent() -> None:
    async with saying(lambda got: b"AMQP\x00\x00\t\x01") as url:
        with pytest.raises(BrokerError, match="what answers there is no Redis") as refused:
            await open_broker(url)
    assert "does not answer" not in refused.value.problem


async def test_a_port_that_is_not_encrypted_is_told_from_one_that_is() -> None:
    async with saying(lambda got: b"-ERR Protocol error: unauthenticated multibulk length\r\n") as url:
        with pytest.raises(BrokerError, match=r"no encrypted connection: [a-z ]+\n") as refused:
            await open_broker(url.replace("redis:", "rediss:"))
    assert "redis:// where that port is not encrypted" in refused.value.hint


async def test_a_second_host_is_refused_as_nobody_would_look_at_it() -> None:
    with pytest.raises(BrokerDenied, match="Redis and Valkey names one host, here are 2"):
        await open_broker("redis://127.0.0.1:1,other/0")


async def test_an_error_without_words_is_told_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wordless(*_: object) -> Connection:
        raise ConnectionResetError

    monkeypatch.setattr(Connection, "to", wordless)
    with pytest.raises(BrokerError, match="does not answer: ConnectionResetError"):
        await open_broker("redis://127.0.0.1:1")


async def test_a_connection_answers_in_order_and_ends_whole() -> None:
    async with saying(lambda got: b"+a\r\n-ERR b\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n") as url:
        pushed: list[list[bytes]] = []
        address = parse_address(url, {"redis": 6379})
        connection = await Connection.to(address, pushed.append, 5.0)
        first, second, third = (connection.call("PING") for _ in range(3))
        assert await first == b"a"
        with pytest.raises(Exception, match="ERR b"):
            await second
        third.cancel()
        connection.close("enough")
        assert await connection.lost == "enough"
        with pytest.raises(ConnectionError, match="enough"):
            await connection.call("PING")
        assert pushed == [[b"message", b"c", b""]]


async def test_what_could_not_be_sent_takes_nobodys_answer() -> None:
    async with saying(lambda got: b"+PONG\r\n" * got.count(b"PING")) as url:
        connection = await Connection.to(parse_address(url, {"redis": 6379}), print, 5.0)
        with pytest.raises(UnicodeEncodeError):
            connection.call("GET", "\ud800")
        assert await connection.call("PING") == b"PONG"
        connection.close()


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with saying(lambda got: b"") as url:
        connection = await Connection.to(parse_address(url, {"redis": 6379}), print, 0.05)
        with pytest.raises(ConnectionError, match="no answer within"):
            await connection.call("PING")


async def test_an_answer_in_time_keeps_the_connection() -> None:
    async with saying(lambda got: b"+PONG\r\n" * got.count(b"PING")) as url:
        connection = await Connection.to(parse_address(url, {"redis": 6379}), print, 60.0)
        given_up, wanted = connection.call("PING"), connection.call("PING")
        given_up.cancel()
        connection._look()
        assert await wanted == b"PONG", "expected the answer of what was cancelled to be passed over"
        connection._look()
        assert not connection.lost.done()
        connection.close()


async def test_a_server_that_never_greets_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_CONNECT_S", 0.05)
    async with saying(lambda got: b"") as url:
        with pytest.raises(BrokerError, match="no answer within"):
            await open_broker(url.replace("redis:", "rediss:"))


def test_a_death_is_needed_to_die() -> None:
    with pytest.raises(BrokerError, match="without a death"):
        extra_of(Outcome(Lease("q", Message("a"), ("1-1", 1), 1, 0.0), "dead"))


async def test_a_link_tries_for_ever_and_says_it_twice(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "pauses", lambda **_: repeat(0.001))
    greetings = [HELLO, b"-LOADING wait\r\n", b"-WRONGPASS no\r\n", HELLO]
    woken: list[str | None] = []

    def answer(got: bytes) -> bytes:
        if b"HELLO" in got:
            return greetings.pop(0)
        return b"+PONG\r\n" * got.count(b"PING") + b"+OK\r\n" * got.count(b"SELECT")

    async with saying(answer) as url:
        link = Link(parse_address(url, {"redis": 6379}), woken.append)
        await link.open()
        assert link.is_up
        link.subscribe("c")
        with caplog.at_level(logging.WARNING):
            link.connection.close("cut")
            assert await link.command("PING") == b"PONG"
        said = [record.message for record in caplog.records]
        assert ["connection lost" in said[0], "connected again" in said[1], len(said)] == [True, True, 2], said
        assert woken == [None, None], "expected those who wait to look again"
        await link.close()
