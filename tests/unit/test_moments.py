"""The time at which a message was sent, where what is said is none: refused in our own queues, ignored in others'."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from millrace.broker import Broker, Queue
from millrace.brokers.envelope import SENT_AT, envelope_of
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.errors import Unencodable
from millrace.types import Message, Put

NONE = [math.inf, -math.inf, math.nan, 1e300, -1.0, 253402300800.0]


@pytest.fixture(params=["memory", "sqlite"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    return MemoryBroker() if request.param == "memory" else SqliteBroker(Database.open(tmp_path / "q.db"))


@pytest.mark.parametrize("sent_at", NONE)
async def test_a_message_that_was_sent_at_no_time_is_refused_with_all_of_its_put(
    broker: Broker, sent_at: float
) -> None:
    await broker.declare([Queue("q")])
    with pytest.raises(Unencodable, match=r"message odd: .* is not a time"):
        await broker.put([Put("q", Message("good")), Put("q", Message("odd", sent_at=sent_at))])
    await broker.put([Put("q", Message("last", sent_at=253402300799.0))])
    assert [lease.message.id for lease in await broker.take("q", 5)] == ["last"]
    await broker.close()


@pytest.mark.parametrize("sent_at", NONE)
def test_what_another_program_says_counts_where_it_is_a_time(sent_at: float) -> None:
    assert envelope_of({SENT_AT: repr(sent_at)}, b"", id="m", sent_at=3.0).message.sent_at == 3.0
    assert envelope_of({}, b"", id="m", sent_at=sent_at).message.sent_at == 0.0
