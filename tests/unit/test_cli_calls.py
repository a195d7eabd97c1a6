"""The queues of synchronous calls, as commands show them: where a gateway and a worker have run apart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from millrace import cli
from millrace.app.backend import open_backend
from millrace.config.load import load
from millrace.types import Commit, Death, Failure, Message, Outcome, Put

PROJECT = (
    "service: x\nfunctions:\n  hello: {handler: app.hello, events: [{http: GET /hello}]}\n  label: {model: app.M}\n"
)
DEATH = Death("lost", Failure("LeaseLost", "its worker died"), "hello.calls", 1, 1.0, 1.0, "hello")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """The queues that `millrace queues` shows, with how many dead letters each has."""
    assert cli.run(["queues", "--json"]) == 0
    return {row["queue"]: row["dead"] for row in json.loads(capsys.readouterr().out)}


async def _lose_a_call(folder: Path) -> None:
    backend = await open_backend(load(folder))
    await backend.share_calls()
    await backend.broker.put([Put("hello.calls", Message("c1", b"{}"))])
    (lease,) = await backend.broker.take("hello.calls", 1)
    await backend.broker.settle(Commit("hello.calls", [Outcome(lease, "dead", death=DEATH)]))
    await backend.close()


def test_a_lost_call_is_listed_and_can_be_purged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_lose_a_call(folder))
    assert shown(capsys) == {"hello": 0, "label": 0, "hello.calls": 1}
    assert cli.run(["dead", "list", "hello.calls", "--json"]) == 0
    (letter,) = json.loads(capsys.readouterr().out)
    assert letter["id"] == "c1"
    assert cli.run(["dead", "purge", "hello.calls", "--all", "--yes"]) == 0
    capsys.readouterr()
    assert shown(capsys)["hello.calls"] == 0


def test_looking_makes_no_queue(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert shown(capsys) == {"hello": 0, "label": 0}
    assert cli.run(["dead", "list", "hello.calls"]) == 1
    assert "no queue 'hello.calls" in capsys.readouterr().err


def test_a_model_is_not_called(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["peek", "label.calls"]) == 1
    assert "no queue 'label.calls'" in capsys.readouterr().err
