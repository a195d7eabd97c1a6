"""Every bucket that needs no network against the suite that third parties get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from millrace.store import Bucket
from millrace.stores.objects import open_bucket
from millrace.testing.bucket import CHECKS, check_bucket


@pytest.mark.parametrize("url", ["./lake", "memory://"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_bucket(url: str, check: Callable[[Bucket], Awaitable[None]], tmp_path: Path) -> None:
    await check(open_bucket("lake", url, tmp_path))


async def test_the_whole_suite_runs(tmp_path: Path) -> None:
    @asynccontextmanager
    async def fresh() -> AsyncIterator[Bucket]:
        yield open_bucket("lake", "memory://", tmp_path)

    await check_bucket(fresh)
