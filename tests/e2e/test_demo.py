"""`millrace demo` as a user runs it: passes under fire, says where the results lie, cleans up on Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from millrace.cli import run

MILLRACE = [sys.executable, "-m", "millrace"]


class Finished(NamedTuple):
    """A whole run: its exit code, what it printed, and where."""

    code: int
    out: str
    folder: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("demo") / "digits"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(["demo", "--json", "--folder", str(folder)])
    return Finished(code, out.getvalue(), folder)


def test_it_passes_under_fire(finished: Finished) -> None:
    (report,) = json.loads(finished.out)
    assert finished.code == 0, report["faults"]
    assert report["passed"]
    assert report["folder"] == str(finished.folder)
    assert report["accepted"] == 898 + 3
    assert (report["done"], report["dead"], report["lost"], report["duplicates"]) == (898, 3, 0, 0)
    assert report["accuracy"] > 0.95
    assert report["repeated"] > 0
    assert report["replicas_killed"] > 0
    assert set(report["deaths"]) == {"truncated.png", "notes.png", "fuse.png"}
    assert sum(report["releases"].values()) == sum(report["batch_sizes"].values()) > 0


def test_what_it_tells_people_to_look_at_works(finished: Finished) -> None:
    folder = finished.folder
    rows = subprocess.run(
        [*MILLRACE, "table", "scan", "predictions", "--json", "--project", str(folder)], capture_output=True, text=True
    )
    assert rows.returncode == 0, rows.stderr
    assert {"id", "digit", "confidence"} <= json.loads(rows.stdout)[0].keys()
    dead = subprocess.run(
        [*MILLRACE, "dead", "list", "digits", "--json", "--project", str(folder)], capture_output=True, text=True
    )
    assert dead.returncode == 0, dead.stderr
    assert len(json.loads(dead.stdout)) == 3


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    done = subprocess.run([*MILLRACE, "demo", "--folder", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "not an empty folder" in done.stderr
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_ctrl_c_stops_the_server_and_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    with subprocess.Popen(
        [*MILLRACE, "demo", "--folder", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    ) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "listens on" in line:
                break
        children = psutil.Process(demo.pid).children(recursive=True)
        assert children
        demo.send_signal(signal.SIGINT)
        rest = demo.stderr.read()
        assert demo.wait(60) == 130, rest
    assert f"removed {folder}" in rest
    assert not folder.exists()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
