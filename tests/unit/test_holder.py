"""Who runs a folder: one at a time, named to whoever else comes, and let go of with the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.app.holder import Holder
from millrace.errors import InUse, StorageReadOnly

HOLDS_UNTIL_KILLED = """
import sys
from pathlib import Path
from millrace.app.holder import Holder
with Holder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_at_a_time_and_the_next_when_it_ended(tmp_path: Path) -> None:
    folder = tmp_path / "pets" / ".millrace"
    with Holder(folder):
        with pytest.raises(InUse) as refused, Holder(folder):
            pass
        assert refused.value.problem == f"another millrace runs in {tmp_path / 'pets'} (process {os.getpid()})"
        assert f"kill {os.getpid()}" in refused.value.hint
    with Holder(folder):
        assert (folder / "up.lock").read_text() == f"{os.getpid()}\n"


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InUse, match=f"process {other.pid}"), Holder(tmp_path):
            pass
        other.kill()
        other.wait(30)
    with Holder(tmp_path):
        pass


def test_a_shorter_number_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_text("123456789012345\n")
    with Holder(tmp_path):
        assert (tmp_path / "up.lock").read_text() == f"{os.getpid()}\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "pets").write_text("a file")
    with pytest.raises(StorageReadOnly, match=r"up\.lock") as refused, Holder(tmp_path / "pets"):
        pass
    assert "writable" in refused.value.hint
