"""python -m pytest"""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import take_stock


def test_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.csv", "b.csv", "c", ".hidden"):
        (tmp_path / name).write_text("12345")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    row = take_stock({"time": "2025-01-31T03:00:00Z"}, None)
    assert row["id"] == "2025-01-31"
    assert (row["files"], row["bytes"]) == (3, 15)
    assert row["by_suffix"] == {".csv": 2, "none": 1}
