"""The benchmarks' own arithmetic and its table: a figure that misses its target must say so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.crowd import content_length
from benchmarks.demo import fenced, main
from benchmarks.machine import describe
from benchmarks.measured import Figure, alternate, skipped
from benchmarks.rows import NAMES
from benchmarks.table import DOCS, README, cells, markdown, short, write

MET = Figure("embedded", "put and run", [0.4, 0.6, 0.8], "at least", 0.5, remark="many/s")
MISSED = Figure("null", "nothing", [50.0], "at most", 40, "µs/item")
SKIPPED = skipped("gpu", "on a GPU", "at least", 0.95, "no CUDA device")


def test_the_median_is_held_to_the_target() -> None:
    assert MET.median == 0.6
    assert MET.met
    assert MISSED.met is False
    assert SKIPPED.met is None


def test_both_sides_run_by_turns() -> None:
    order: list[str] = []

    def side(name: str, rate: float) -> float:
        order.append(name)
        return rate

    ratios, ours, theirs = alternate(3, lambda: side("ours", 6.0), lambda: side("theirs", 3.0))
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert (ratios, ours, theirs) == ([2.0] * 3, [6.0] * 3, [3.0] * 3)


def test_a_row_says_everything() -> None:
    assert cells(MET) == ("embedded", "0.600", "0.400 to 0.800", "at least 0.500", "yes", "many/s")
    assert cells(MISSED) == ("null", "50.0 µs/item", "50.0 µs/item to 50.0 µs/item", "at most 40.0 µs/item", "NO", "")
    assert cells(SKIPPED)[-2:] == ("skipped", "no CUDA device")


def test_the_pages_keep_their_text_around_the_tables(tmp_path: Path) -> None:
    page, readme = tmp_path / "page.md", tmp_path / "readme.md"
    for each in (page, readme):
        each.write_text("before\n<!-- measured -->\nold\n<!-- /measured -->\nafter\n")
    write([MET], "a machine", "2026-01-01", page, readme)
    for each in (page, readme):
        text = each.read_text()
        assert "old" not in text
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "Measured on a machine" in text
    assert "| embedded | put and run: many/s | 0.600 |" in page.read_text()
    assert "| put and run | **0.600** | at least 0.500 |" in readme.read_text()
    write([MISSED], "a machine", "2026-01-02", page, readme, whole=False)
    for each in (page, readme):
        rows = [line for line in each.read_text().splitlines() if line.startswith("| ")]
        assert len(rows) == 3, rows  # the head, the row that was there, and the new one
    assert [line[-14:] for line in page.read_text().splitlines() if "| 2026" in line] == [
        "| 2026-01-01 |",
        "| 2026-01-02 |",
    ]
    page.write_text("nothing here")
    with pytest.raises(ValueError, match="once"):
        write([MET], "a machine", "2026-01-01", page, readme)


def test_the_short_table_leaves_out_what_is_held_to_nothing() -> None:
    free = Figure("p50", "how long", [1.0], "at most", None, "ms")
    assert "how long" not in short([MET, free], "m", "d")
    assert "| p50 | how long" in markdown([free], "m", "d")


def test_the_short_table_owns_up() -> None:
    text = short([MISSED, SKIPPED], "m", "d")
    assert "| nothing | 50.0 µs/item (missed) | at most 40.0 µs/item |" in text
    assert "| on a GPU | no CUDA device | at least 0.950 |" in text


def test_the_pages_have_their_markers() -> None:
    assert DOCS.read_text().count("<!-- measured -->") == 1
    for name in ("demo", "measured"):
        assert README.read_text().count(f"<!-- {name} -->") == README.read_text().count(f"<!-- /{name} -->") == 1
    assert markdown([MISSED], "m", "d").count("\n") == 4


@pytest.mark.parametrize("code", [0, 1])
def test_only_a_demo_that_passed_is_shown(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = tmp_path / "readme.md"
    readme.write_text("<!-- demo -->\n<!-- /demo -->\n")
    printed = subprocess.CompletedProcess([], code, stdout="lost   0   \nPassed\n")
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: printed)
    assert main(readme) == code
    assert (fenced("lost   0   \nPassed\n") in readme.read_text()) == (code == 0)
    assert fenced(printed.stdout) == "```text\nlost   0\nPassed\n```"


def test_every_row_has_a_file() -> None:
    for name in NAMES:
        assert (Path("benchmarks") / "rows" / f"{name}.py").is_file()


def test_a_machine_is_one_line() -> None:
    assert "\n" not in describe()
    assert "SQLite" in describe()


def test_the_length_of_an_answer() -> None:
    assert content_length(b"HTTP/1.1 202 Accepted\r\nContent-Length: 41\r\nx: y") == 41
    assert content_length(b"HTTP/1.1 202 Accepted") == 0
