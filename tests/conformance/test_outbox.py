"""An outbox around brokers that cannot dedupe, against the whole suite and the model."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from millrace.testing.bench import BrokerBench
from millrace.testing.broker import CHECKS, Check
from millrace.testing.broker.dead_to import a_letter_whose_id_is_taken_stays_behind
from millrace.testing.machine import broker_machine
from tests.conformance.machine_runs import run_machine
from tests.conformance.outbox_parts import Forgetful, outbox_forgetful, outbox_memory, outbox_sqlite

Open = Callable[[Path], AbstractAsyncContextManager[BrokerBench]]
NOT_OF_ITS_INNER = {  # what a broker to which no id is known cannot do
    outbox_forgetful: [a_letter_whose_id_is_taken_stays_behind],
    outbox_sqlite: [a_letter_whose_id_is_taken_stays_behind],
    outbox_memory: [],
}


def claims(check: Check) -> bool:
    """What the inner broker claims, and what an outbox adds."""
    added = {"transactional", "dedupe"}
    return "bounded" not in check.needs and all(
        need in added or getattr(Forgetful.capabilities, need) for need in check.needs
    )


@pytest.mark.parametrize(
    ("opened", "check"),
    [
        pytest.param(opened, check, id=f"{opened.__name__}-{check.name}")
        for opened, without in NOT_OF_ITS_INNER.items()
        for check in CHECKS
        if claims(check) and check.run not in without
    ],
)
async def test_outbox(opened: Open, check: Check, tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        assert check.applies(bench.broker.capabilities)
        await check.run(bench)


@pytest.mark.no_cover
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.parametrize(("opened", "share"), [(outbox_forgetful, 0.5), (outbox_sqlite, 0.1)])
def test_machine(opened: Open, share: float, fifo: bool) -> None:
    @asynccontextmanager
    async def fresh() -> AsyncIterator[BrokerBench]:
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder)) as bench:
                yield bench

    run_machine(broker_machine(fresh, fifo=fifo), share)
