"""The short form of `make chaos`: every fault once, on each broker; nothing is lost, and no effect is there twice."""

from __future__ import annotations

import pytest
from needs import needs

from benchmarks.chaos.brokers import KINDS
from benchmarks.chaos.run import survive
from tests.services.postgres import Postgres


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", list(KINDS))
async def test_a_fleet_survives(name: str) -> None:
    for server in (KINDS[name].server(), Postgres()):
        needs(f"the server {server.name}", server.program())
    survived = await survive(name, 1, 15.0, warm_s=2.0, calm_s=2.0)
    assert survived.counted.accepted > 100
    assert (survived.counted.lost, survived.counted.effects_twice) == (0, 0), survived
    assert survived.exit_codes == [0, 0, 0, 0], survived
