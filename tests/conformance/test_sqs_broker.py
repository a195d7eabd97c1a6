"""The adapter to SQS against the suite: on millrace's own endpoint, on moto's server, and on AWS where it is lent.

MILLRACE_TEST_SQS is the URL of an account to test on (`sqs://eu-west-1`), whose queues of the prefix are dropped.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.needs import needs_module

needs_module("aiohttp", "botocore", "moto", "flask")

from sqs_servers import MOTO_UNIT_S, address, moto_server, real, virtual  # noqa: E402

from millrace.brokers.sqs import SqsBroker  # noqa: E402
from millrace.ids import new_id  # noqa: E402
from millrace.testing.bench import BrokerBench  # noqa: E402
from millrace.testing.broker import CHECKS, Check  # noqa: E402
from tests.conformance.real_time import run_in_real_time  # noqa: E402


def checks() -> list[Check]:
    """What the adapter claims."""
    return [check for check in CHECKS if check.applies(SqsBroker.capabilities)]


@pytest.mark.parametrize("check", [pytest.param(check, id=check.name) for check in checks()])
async def test_own_endpoint(check: Check, tmp_path: Path) -> None:
    async with virtual(tmp_path) as bench:
        await check.run(bench)


AT_ONCE = 24
# One minute of the suite waits for hours or for very many: there the own endpoint's clock has shown it.
TOO_MANY = {"many_are_moved_and_purged", "many_are_dropped", "a_closed_group_does_not_hide_the_others"}
# Of a group that was held together and whose leases ran out, moto 5.2 gives the last first: a receive passes over each
# message while moto still counts one behind it as held, and only then counts it as free. SQS begins at the head.
NOT_IN_MOTOS_ORDER = {"a_lost_lease_keeps_the_order", "a_lapsed_lease_behind_a_taken_head_is_lost"}
# Beside other tests moto can take longer than a lease to answer twenty takers.
NOT_MOTO = NOT_IN_MOTOS_ORDER | {"takers_do_not_share"}
URL = os.environ.get("MILLRACE_TEST_SQS", "")


@pytest.mark.timeout(600)
@pytest.mark.skipif(not URL, reason="needs MILLRACE_TEST_SQS, the URL of an account of AWS that may be used for tests")
async def test_aws() -> None:
    joint = "&" if "?" in URL else "?"
    chosen = [check for check in checks() if check.name not in TOO_MANY]
    await all_at_once(chosen, lambda prefix: f"{URL}{joint}prefix={prefix}")


@pytest.mark.timeout(600)
async def test_moto() -> None:
    with moto_server() as endpoint:
        chosen = [check for check in checks() if check.name not in TOO_MANY | NOT_MOTO]
        await all_at_once(chosen, lambda prefix: address(endpoint, prefix))


async def all_at_once(chosen: list[Check], url: Callable[[str], str]) -> None:
    """Real time passes for all checks together; each has queues of its own.

    What fails in a crowd, where a second may be late, is tried once more alone, and slowly if the machine is slow.
    """
    word = new_id()[-8:]
    benches = [real(url(f"t{word}-{number}-")) for number in range(len(chosen))]

    gate = asyncio.Semaphore(AT_ONCE)

    async def passed(check: Check, fresh: AbstractAsyncContextManager[BrokerBench]) -> bool:
        try:
            async with gate, fresh as bench:
                await check.run(bench)
        except Exception:
            return False
        return True

    pairs = list(zip(chosen, benches, strict=True))
    told = await asyncio.gather(*(passed(*pair) for pair in pairs))
    failed = []
    for number, check in enumerate(check for check, well in zip(chosen, told, strict=True) if not well):
        try:
            await run_in_real_time(partial(real, url(f"t{word}-again-{number}-")), check.run, MOTO_UNIT_S)
        except Exception:
            failed.append(f"{check.name}: {traceback.format_exc()}")
    assert not failed, "\n".join(failed)
