"""Coverage's data files: those that a kill cut short go, and no others."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from coverage import CoverageData

from tests.torn_coverage import drop

ROOT = Path(__file__).resolve().parents[2]


def whole(path: Path) -> bytes:
    data = CoverageData(str(path))
    data.add_lines({f"/some/module{number}.py": range(1, 300) for number in range(300)})
    data.write()
    data.close()
    return path.read_bytes()


def test_what_was_cut_short_goes_and_nothing_else(tmp_path: Path) -> None:
    good = whole(tmp_path / ".coverage.good")
    for name, content in {"empty": b"", "magic": good[:10], "header": good[:100], "page": good[:4096]}.items():
        (tmp_path / f".coverage.{name}").write_bytes(content)
    for name, statement in {
        "no-table": "pragma user_version = 1",
        "no-row": "create table coverage_schema (version integer)",
    }.items():
        with closing(sqlite3.connect(tmp_path / f".coverage.{name}")) as file:
            file.execute(statement)
            file.commit()
    (tmp_path / ".coverage.other").write_text("something else")
    (tmp_path / "empty").touch()
    drop(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".coverage.good", ".coverage.other", "empty"]


def test_it_is_done_before_they_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / ".coveragerc").write_text("[run]\nparallel = true\n")
    test = 'from pathlib import Path\n\n\ndef test_it():\n    Path(".coverage.host.pid1.torn").touch()\n'
    (tmp_path / "test_some.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-p", "tests.torn_coverage", "--cov=.", "--cov-report=", "test_some.py"]
    ran = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "isn't a coverage data file" not in ran.stdout + ran.stderr
    assert [path.name for path in tmp_path.glob(".coverage*")].count(".coverage") == 1
    assert not (tmp_path / ".coverage.host.pid1.torn").exists()
