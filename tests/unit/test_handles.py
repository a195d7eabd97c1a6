"""Receipts as text: they come back as they went, and nothing else that comes in is more than refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.broker import Broker, Queue, handle_of, lease_of, receipt_of
from millrace.brokers.claims import ClaimCheck
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.errors import BrokerError
from millrace.stores.objects import open_bucket
from millrace.testing import ManualClock
from millrace.types import Commit, Message, Outcome, Put

PARTS = st.integers() | st.text(st.characters(codec="utf-8"))
RECEIPTS = st.recursive(PARTS, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)
SHAPED = st.tuples(st.integers(), st.integers(), st.text()) | st.tuples(st.just("millrace-claim"), st.text(), RECEIPTS)


@given(RECEIPTS)
def test_a_receipt_comes_back_from_its_text(receipt) -> None:
    handle = handle_of(receipt)
    assert receipt_of(handle) == receipt
    assert handle.isascii()
    assert handle.isprintable()


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_handle_or_a_value_error(text: str) -> None:
    try:
        receipt = receipt_of(text)
    except ValueError:
        return
    hash(receipt)


def test_nothing_deep_or_long_comes_through() -> None:
    for text in ("W1tb" * 500, "W1tb" * 10_000, "A" * 10_000_000):
        with pytest.raises(ValueError, match="not a receipt handle"):
            receipt_of(text)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "claims"])
async def test_an_invented_receipt_is_lost_or_refused(tmp_path: Path, kind: str) -> None:
    database = Database.open(tmp_path / "test.db", clock=ManualClock())
    broker: Broker = MemoryBroker() if kind == "memory" else SqliteBroker(database)
    if kind == "claims":
        broker = ClaimCheck(broker, open_bucket("bodies", "memory://", Path()), beyond_bytes=0)
    await broker.declare([Queue("q")])
    await broker.put([Put("q", Message("a", b"x"))])
    (lease,) = await broker.take("q", 1)
    invented: list[str] = []
    collect = settings(max_examples=100)(given(SHAPED | RECEIPTS)(lambda receipt: invented.append(handle_of(receipt))))
    collect()
    for handle in invented:
        bare = lease_of("q", handle)
        for verdict in ("done", "retry", "release"):
            with suppress(BrokerError):
                assert len(await broker.settle(Commit("q", [Outcome(bare, verdict)]))) == 1
                assert await broker.extend([bare], 1.0) == []
    assert await broker.settle(Commit("q", [Outcome(lease, "done")])) == [], "the real one is untouched"
    await database.close()
