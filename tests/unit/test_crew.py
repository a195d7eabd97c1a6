"""The number of preprocessing threads follows what helps."""

from __future__ import annotations

import os

import pytest

from millrace.replica.crew import Crew, usable_cores


def learnt(crew: Crew, *, batches: int, waited: float, used_cores: float) -> int:
    for _ in range(batches):
        crew.learn(1.0, waited, used_cores)
    return crew.size


def test_it_begins_with_the_cores_that_predict_leaves() -> None:
    assert [Crew(8, cores).size for cores in (1, 2, 4, 64)] == [1, 1, 3, 8]
    assert Crew(1, 64).size == 1


def test_waiting_for_a_network_gets_every_thread() -> None:
    assert learnt(Crew(16, 2), batches=100, waited=0.9, used_cores=0.1) == 16


def test_busy_cores_get_no_more_threads() -> None:
    assert learnt(Crew(16, 4), batches=100, waited=0.9, used_cores=3.8) == 3


def test_when_predict_never_waits_nothing_changes() -> None:
    assert learnt(Crew(16, 4), batches=100, waited=0.01, used_cores=1.0) == 3


def test_threads_that_only_compete_are_given_up_again() -> None:
    crew = Crew(16, 2)
    learnt(crew, batches=5, waited=0.9, used_cores=0.1)
    assert learnt(crew, batches=100, waited=0.0, used_cores=2.0) == 1


def test_a_batch_that_took_no_time_teaches_nothing_wrong() -> None:
    crew = Crew(4, 2)
    crew.learn(0.0, 0.0, 0.0)
    assert crew.size == 1


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
