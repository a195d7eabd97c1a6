"""The memory of a process where there is no proc, and a commit of which one outcome has no row for a table apart."""

from __future__ import annotations

import os
import sys

import psutil
import pytest

from millrace.flow import memory
from millrace.flow.apart import ApartRows
from millrace.stores.memory import MemoryTables
from millrace.testing.bench import outcome
from millrace.types import Commit, Lease, Message, Row


def test_without_proc_it_is_asked_of_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    here = psutil.Process().memory_info().rss
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.rss_bytes(os.getpid()) == pytest.approx(here, rel=0.5)
    assert memory.rss_bytes(2**22 + 1) == 0


async def test_an_outcome_without_such_a_row_stays_as_it_is() -> None:
    table = await MemoryTables().open("rows", "id")
    table.joins = False
    plain, apart = (outcome(Lease("q", Message(id), id, 1, 0.0)) for id in "ab")
    apart = outcome(apart.lease, rows=(Row("rows", "b", b'{"id":"b"}'),))
    written = await ApartRows({"rows": table}).write(Commit("q", [plain, apart]), lambda refused, _: refused)
    assert written.outcomes[0] is plain
    assert written.outcomes[1].rows == ()
    assert await table.get("b") == b'{"id":"b"}'
