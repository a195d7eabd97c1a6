"""A project with a table in DynamoDB, as moto plays it: opened, written by a commit, closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.app import open_backend
from millrace.app import stores as app_stores
from millrace.app.stores import EmbeddedStore, open_project_table
from millrace.broker import Queue
from millrace.brokers.outbox import Outbox
from millrace.clock import SystemClock
from millrace.config.load import load
from millrace.config.schema import Project, TableConfig
from millrace.errors import ConfigError, StorageError
from millrace.flow.commit import Committer
from millrace.stores.memory import MemoryTables
from millrace.stores.memory_ledger import MemoryLedger
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Commit, Failure, Lease, Message, Outcome, Put, Row
from tests.conformance.dynamodb_parts import dynamodb, fresh_url
from tests.conformance.outbox_parts import Forgetful

PROJECT = """
service: pets
tables:
  there: {{url: "{url}"}}
  here: {{}}
queues: {{q: {{}}}}
functions:
  f: {{model: app.Model, events: [{{queue: q}}], to: [{{table: there}}, {{table: here}}]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with dynamodb() as endpoint:
        (tmp_path / "millrace.yml").write_text(PROJECT.format(url=fresh_url(endpoint)))
        (tmp_path / "app.py").write_text("class Model:\n    def predict(self, items):\n        return items\n")
        yield load(tmp_path / "millrace.yml")


def refuse(given: Outcome, failure: Failure) -> Outcome:
    raise AssertionError(failure)


async def test_a_commit_writes_there_and_here(project: Project) -> None:
    backend = await open_backend(project)
    await backend.broker.put([Put("q", Message("a"))])
    leases = await backend.broker.take("q", 1)
    commit = Commit("q", [outcome(leases[0], rows=(Row("there", "a", b"1"), Row("here", "a", b"2")))])
    committer = Committer(backend.broker, backend.tables, {}, backend.results, None)  # type: ignore[arg-type]
    assert await committer.commit(commit, refuse) == []
    await backend.close()
    again = await open_backend(project)
    assert [await again.tables[name].get("a") for name in ("there", "here")] == [b"1", b"2"]
    record = await again.results.get("a")
    assert record is not None
    assert record.state == "done"
    await again.close()


async def test_beside_a_broker_rows_there_come_before_the_ledger(project: Project) -> None:
    """A ledger that fails afterwards leaves the row under its key and the message in its queue."""
    clock = ManualClock()
    here = MemoryTables(clock)
    there = await open_project_table(Nowhere(), "there", project.tables["there"], stream=False)  # type: ignore[arg-type]
    rows = await here.open("here", "id")
    ledger = MemoryLedger(clock, [here])
    broker = Outbox(Forgetful(clock), ledger, clock=clock)
    await broker.declare([Queue("q")])
    await broker.put([Put("q", Message("a"))])
    lease = (await broker.take("q", 1))[0]
    commit = Commit("q", [outcome(lease, rows=(Row("there", "a", b"1"), Row("here", "a", b"2")))])
    committer = Committer(broker, {"there": there, "here": rows}, {}, None, None)  # type: ignore[arg-type]
    write, ledger.write = ledger.write, failing  # type: ignore[method-assign]
    with pytest.raises(StorageError, match="the disk"):
        await committer.commit(commit, refuse)
    assert await there.get("a") == b"1"
    assert [await rows.get("a"), (await broker.stats("q")).in_flight] == [None, 1]
    ledger.write = write  # type: ignore[method-assign]
    assert await committer.commit(commit, refuse) == []
    assert [await there.get("a"), await rows.get("a")] == [b"1", b"2"]
    assert (await broker.stats("q")).in_flight == 0
    await there.close()


class Nowhere:
    """A project's store, which a table with a URL does not ask."""


async def failing(commit: Commit, **how: object) -> list[Lease]:
    raise StorageError("the disk")


async def test_what_check_refuses_is_refused_at_the_start_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddedStore(project, SystemClock())
    there = project.tables["there"]
    with pytest.raises(ConfigError, match="no database"):
        await open_project_table(store, "there", TableConfig(url="mongodb://x/y"), stream=False)
    with pytest.raises(ConfigError, match="changes"):
        await open_project_table(store, "there", there, stream=True)

    def absent(name: str) -> None:
        raise ModuleNotFoundError(name, name="botocore.config")

    monkeypatch.setattr(app_stores.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match="needs the package botocore"):
        await open_project_table(store, "there", there, stream=False)

    def broken(name: str) -> None:
        raise ModuleNotFoundError(name, name="other")

    monkeypatch.setattr(app_stores.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError):
        await open_project_table(store, "there", there, stream=False)
    await store.close()
