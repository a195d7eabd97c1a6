"""A replica that was started before its project was known is, to the function, like one started for it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest

from millrace.clock import SystemClock
from millrace.flow.head_start import HeadStart
from millrace.flow.inherited import inherited
from millrace.flow.process import Begun
from millrace.flow.replicas import Lost, ReplicaSet
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
from millrace.types import JSON, Message
from millrace.wire import Ran, Run, Spec

pytestmark = pytest.mark.timeout(60)

APP = """
    import os, time

    def report(event, context):
        begun_with = b""
        if os.path.exists("/proc/self/environ"):
            with open("/proc/self/environ", "rb") as file:
                begun_with = file.read()
        variables = {name.decode("latin-1"): value.decode("latin-1") for name, value in os.environb.items()}
        return {"environment": variables, "begun_with": begun_with.decode("latin-1"), "cwd": os.getcwd(),
                "pid": os.getpid(), "pgid": os.getpgrp(), "zone": time.tzname[0],
                "of_a_child": os.popen("printenv SET").read()}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(dedent(APP))
    return tmp_path


def begun(head: HeadStart) -> Begun:
    found = head._begun
    assert found is not None
    return found


async def answer(head: HeadStart, folder: Path, environment: dict[str, str]) -> Ran | Lost:
    replicas = ReplicaSet(
        Spec("f", "handler", "app.report", str(folder), 30.0, 0, 1),
        count=1,
        environment=environment,
        clock=SystemClock(),
        load_timeout_s=30.0,
        on_line=lambda line: None,
        spawn=head,
    )
    await replicas.start()
    try:
        message = Message("m", b"{}", {"content-type": JSON, EVENT_ATTRIBUTE: RAW_EVENT})
        return await replicas.run(Run(1, "r", "q", [message], [1], [""]), impatient=True)
    finally:
        await replicas.kill()


def report(head: HeadStart, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    ran = asyncio.run(answer(head, folder, environment))
    assert isinstance(ran, Ran), ran
    assert ran.values[0] is not None, ran
    return dict(json.loads(ran.values[0]))


def test_it_has_the_folder_and_exactly_the_environment_that_it_was_to_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS_ALONE", "not for it")
    with HeadStart(folder) as head:
        pid = begun(head).process.pid
        environment = {name: value for name, value in inherited().items() if name != "OURS_ALONE"}
        environment |= {"SET": "by the project", "TZ": "XYZ-3", "BYTES": os.fsdecode(b"\xff")}
        seen = report(head, folder, environment)
        assert seen["pid"] == seen["pgid"] == pid
    assert seen["environment"] == {name: os.fsencode(value).decode("latin-1") for name, value in environment.items()}
    assert (seen["cwd"], seen["zone"], seen["of_a_child"]) == (str(folder), "XYZ", "by the project\n")


def test_nothing_secret_can_be_read_in_what_it_was_begun_with(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "told-nobody")
    monkeypatch.setenv("MILLRACE_TOKEN", "told-nobody")
    with HeadStart(folder) as head:
        seen = report(head, folder, inherited() | {"AWS_SECRET_ACCESS_KEY": "nothing"})
    assert "told-nobody" not in json.dumps(seen)


@pytest.mark.parametrize("name", ["PYTHONPATH", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "LC_ALL"])
def test_one_that_would_have_started_otherwise_is_not_used(folder: Path, name: str) -> None:
    with HeadStart(folder) as head:
        pid = begun(head).process.pid
        seen = report(head, folder, inherited() | {name: "other"})
        assert seen["pid"] != pid
        assert seen["environment"][name] == "other"


def test_nor_is_one_in_another_folder(folder: Path) -> None:
    (folder / "other").mkdir()
    with HeadStart(folder / "other") as head:
        pid = begun(head).process.pid
        seen = report(head, folder, inherited())
        assert (seen["pid"] != pid, seen["cwd"]) == (True, str(folder))


def test_one_that_died_meanwhile_is_told_like_any_death(folder: Path) -> None:
    with HeadStart(folder) as head:
        begun(head).process.kill()
        lost = asyncio.run(answer(head, folder, inherited()))
    assert isinstance(lost, Lost)


def test_unused_it_ends(folder: Path) -> None:
    with HeadStart(folder) as head:
        process = begun(head).process
        assert process.poll() is None
    assert process.returncode is not None
    assert not psutil.pid_exists(process.pid)


def test_a_folder_that_is_not_there_is_told_when_it_is_needed(tmp_path: Path) -> None:
    told: Callable[[int], None] = print
    with HeadStart(tmp_path / "gone") as head, pytest.raises(FileNotFoundError):
        head(str(tmp_path / "gone"), inherited(), told)
