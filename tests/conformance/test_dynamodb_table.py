"""Tables in DynamoDB, as moto plays it, against the suite that third parties get; and what a commit does with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from millrace.errors import ConfigError, StorageBusy, StorageDenied, StorageError, TooLarge
from millrace.flow.commit import Committer
from millrace.store import Table
from millrace.testing.bench import outcome
from millrace.testing.ledger import delivery
from millrace.testing.table import ROW_CHECKS
from millrace.types import Commit, Failure, Lease, Outcome, Row
from tests.conformance.dynamodb_parts import REGION, dynamodb, fresh_url

import millrace.stores.dynamodb.opening as opening  # isort: skip - needs what dynamodb_parts asks for
from millrace.stores.dynamodb import DynamoTable, open_table  # isort: skip
from millrace.stores.dynamodb.client import Client, Fault  # isort: skip


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with dynamodb() as url:
        yield url


@asynccontextmanager
async def fresh(endpoint: str) -> AsyncIterator[DynamoTable]:
    table = await open_table(fresh_url(endpoint), "pets", "id")
    yield table
    await table.close()


def counted(table: DynamoTable) -> list[str]:
    """The names of the calls that the table makes from now on."""
    calls: list[str] = []
    call = table._client.call

    async def counting(operation: str, **members: Any) -> Any:
        calls.append(operation)
        return await call(operation, **members)

    table._client.call = counting  # type: ignore[method-assign]
    return calls


@pytest.mark.parametrize("check", ROW_CHECKS, ids=lambda check: check.__name__)
async def test_table(endpoint: str, check: Callable[[Table], Awaitable[None]]) -> None:
    async with fresh(endpoint) as table:
        await check(table)


async def test_one_row_is_one_put_and_a_hundred_are_one_transaction(endpoint: str) -> None:
    async with fresh(endpoint) as table:
        calls = counted(table)
        await table.put([Row("pets", "a", b"1")])
        await table.put([Row("pets", str(number), b"1") for number in range(100)])
        await table.put([Row("pets", str(number), b"2") for number in range(101)])
        await table.put([Row("pets", str(number), b'"' + b"x" * 390_000 + b'"') for number in range(11)])
        assert calls == [
            "put_item",
            "transact_write_items",
            "transact_write_items",
            "put_item",
            "transact_write_items",
            "put_item",
        ]


async def test_what_does_not_fit_keeps_the_whole_put_out(endpoint: str) -> None:
    async with fresh(endpoint) as table:
        for large in (Row("pets", "b", b'"' + b"x" * 410_000 + b'"'), Row("pets", "k" * 1024, b"1")):
            with pytest.raises(TooLarge, match="bytes"):
                await table.put([Row("pets", "a", b"1"), large])
        assert await table.scan() == []
        longest = Row("pets", "k" * 1023, b"1")
        await table.put([longest])
        assert await table.scan(after="j") == [longest]


async def test_a_scan_reads_little_more_than_its_page(endpoint: str) -> None:
    async with fresh(endpoint) as table:
        await table.put([Row("pets", f"{number:04d}", b"1") for number in range(300)])
        seen = 0
        call = table._client.call

        async def counting(operation: str, **members: Any) -> Any:
            nonlocal seen
            answer = await call(operation, **members)
            seen += len(answer["Items"])
            return answer

        table._client.call = counting  # type: ignore[method-assign]
        assert len(await table.scan(limit=160)) == 160
        assert seen <= 2 * (160 + 16 * 8)


async def test_a_table_is_opened_again_and_by_several_at_once(endpoint: str) -> None:
    url = fresh_url(endpoint)
    tables = await asyncio.gather(*(open_table(url, "pets", "id") for _ in range(3)))
    await tables[0].put([Row("pets", "a", b"1")])
    assert [await table.get("a") for table in tables] == [b"1"] * 3
    with pytest.raises(ConfigError, match="stored by 'id', not by 'name'"):
        await open_table(url, "pets", "name")
    for table in tables:
        await table.close()


async def test_a_table_with_other_keys_is_refused(endpoint: str) -> None:
    url = fresh_url(endpoint)
    client = Client(opening.parse_address(url))
    await client.connect()
    await client.call(
        "create_table",
        TableName=client.address.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(ConfigError, match=r"keys are id \(HASH, N\); expected bucket \(HASH, S\), key \(RANGE, S\)"):
        await open_table(url, "pets", "id")
    await client.close()


async def test_a_table_that_never_gets_ready_is_an_error(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(opening, "_LOOKS", 2)
    ask = Client.call

    async def creating(client: Client, operation: str, **members: Any) -> Any:
        answer = await ask(client, operation, **members)
        if operation == "describe_table":
            answer["Table"]["TableStatus"] = "CREATING"
        return answer

    monkeypatch.setattr(Client, "call", creating)
    with pytest.raises(StorageError, match="not ready"):
        await open_table(fresh_url(endpoint), "pets", "id")


@pytest.mark.parametrize(
    ("code", "error", "hint"),
    [
        ("ThrottlingException", StorageBusy, "capacity"),
        ("AccessDeniedException", StorageDenied, "policy"),
        ("ResourceNotFoundException", StorageError, "dropped"),
        ("ValidationException", StorageError, "API reference"),
    ],
)
async def test_refusals_say_what_to_do(endpoint: str, code: str, error: type[StorageError], hint: str) -> None:
    async with fresh(endpoint) as table:

        async def refusing(operation: str, **members: Any) -> Any:
            raise Fault(code, "no")

        table._client.call = refusing  # type: ignore[method-assign]
        for trying in (table.put([Row("pets", "a", b"1")]), table.get("a"), table.delete(["a"]), table.scan()):
            with pytest.raises(error, match=code) as caught:
                await trying
            assert hint in caught.value.hint


async def test_refusals_at_the_start(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Client.call
    for refused in ("describe_table", "create_table", "put_item"):

        async def refusing(client: Client, operation: str, refused: str = refused, **members: Any) -> Any:
            if operation == refused:
                raise Fault("AccessDeniedException", "no")
            return await ask(client, operation, **members)

        with monkeypatch.context() as patch:
            patch.setattr(Client, "call", refusing)
            with pytest.raises(StorageDenied, match="open the table"):
                await open_table(fresh_url(endpoint), "pets", "id")


async def test_a_server_that_is_away_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.stores.dynamodb.client._TRIES", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(StorageError, match="cannot be asked"):
        await open_table("dynamodb://eu-west-1/pets?endpoint=http://127.0.0.1:9", "pets", "id")
    with pytest.raises(StorageError, match="cannot be asked"):
        await open_table("dynamodb://-/pets", "pets", "id")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("dynamodb://[::1/x", "cannot be read"),
        ("dynamodb://key:hidden@eu-west-1/pets", "credentials"),
        ("dynamodb://eu-west-1", "no name"),
        ("dynamodb:///pets", "no region"),
        ("dynamodb://eu-west-1/a b", "no name"),
        ("s3://eu-west-1/pets", "no region"),
        ("dynamodb://eu-west-1/pets?prefix=x", "option 'prefix'"),
        ("dynamodb://eu-west-1/pets?endpoint=ftp://x", "no URL of http"),
    ],
)
async def test_urls_that_cannot_be(url: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        await open_table(url, "pets", "id")
    assert "hidden" not in str(caught.value)


class Broker:
    """Keeps what it was asked to settle, or refuses."""

    def __init__(self) -> None:
        from millrace.brokers.memory import MemoryBroker

        self.capabilities = MemoryBroker.capabilities
        self.settled: list[Commit] = []

    async def settle(self, commit: Commit) -> list[Lease]:
        self.settled.append(commit)
        return []


def committer(broker: Broker, table: Table) -> Committer:
    return Committer(broker, {"pets": table}, {}, None, None)  # type: ignore[arg-type]


def refuse(given: Outcome, failure: Failure) -> Outcome:
    return Outcome(given.lease, "dead")


async def test_rows_are_written_before_the_commit_and_not_with_it(endpoint: str) -> None:
    async with fresh(endpoint) as table:
        broker = Broker()
        elsewhere = Row("rows", "r", b"1")
        first = outcome(delivery("a"), rows=(Row("pets", "k", b"1"), elsewhere, Row("pets", "a", b"1")))
        second = outcome(delivery("b"), rows=(Row("pets", "k", b"2"),))
        assert await committer(broker, table).commit(Commit("q", [first, second]), refuse) == []
        assert [row.key for row in await table.scan()] == ["a", "k"]
        assert await table.get("k") == b"2", "expected the last outcome's row"
        assert list(broker.settled[0].rows) == [elsewhere]
        assert [each.lease for each in broker.settled[0].outcomes] == [first.lease, second.lease]


async def test_a_row_that_is_too_large_is_its_own_messages_fault(endpoint: str) -> None:
    async with fresh(endpoint) as table:
        broker = Broker()
        large = outcome(delivery("a"), rows=(Row("pets", "a", b'"' + b"x" * 500_000 + b'"'),))
        small = outcome(delivery("b"), rows=(Row("pets", "b", b"1"),))
        await committer(broker, table).commit(Commit("q", [large, small]), refuse)
        assert [each.verdict for each in broker.settled[0].outcomes] == ["dead", "done"]
        assert [row.key for row in await table.scan()] == ["b"]


async def test_nothing_is_settled_while_dynamodb_is_away(endpoint: str) -> None:
    async with fresh(endpoint) as table:
        broker = Broker()

        async def away(operation: str, **members: Any) -> Any:
            raise StorageError("away")

        call, table._client.call = table._client.call, away  # type: ignore[method-assign]
        commit = Commit("q", [outcome(delivery("a"), rows=(Row("pets", "a", b"1"),))])
        with pytest.raises(StorageError, match="away"):
            await committer(broker, table).commit(commit, refuse)
        assert broker.settled == []
        table._client.call = call  # type: ignore[method-assign]
        await committer(broker, table).commit(commit, refuse)
        assert await table.get("a") == b"1"
        assert REGION in str(table._client.address)
