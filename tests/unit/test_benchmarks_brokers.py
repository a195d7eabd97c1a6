"""The row of brokers: every broker has its figures or says why not, and the page on choosing shows the same medians."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rows import brokers
from benchmarks.speeds import MEASURES, PART, speeds
from benchmarks.table import CHOOSING, DOCS, write
from tests.services.redis import Redis

VALUES = {"put": [1000.0, 2000.0, 3000.0], "drained": [12345.6], "p50": [1.25], "p99": [20.0]}


def test_every_broker_has_a_figure_for_each_measure() -> None:
    for broker, kind in brokers.BROKERS.items():
        found = brokers.figures(broker, kind, VALUES)
        assert [each.name for each in found] == [f"{broker}: {measure}" for measure in MEASURES]
        assert {(each.part, each.target, each.met) for each in found} == {(PART, None, None)}


def test_a_server_that_is_not_installed_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Redis, "program", classmethod(lambda cls: None))
    why = brokers.missing("Redis, always", brokers.BROKERS["Redis, always"])
    assert why == "redis-server is not installed"
    found = brokers.figures("Redis, always", brokers.BROKERS["Redis, always"], {}, why)
    assert {each.skipped for each in found} == {why}
    assert f"| Redis, always | {why} |" in speeds(found, "m", "d")


def test_the_embedded_queue_needs_nothing() -> None:
    assert brokers.missing("embedded", None) == ""


def test_the_page_on_choosing_gets_a_line_a_broker(tmp_path: Path) -> None:
    docs, readme, choosing = (tmp_path / name for name in ("docs.md", "readme.md", "choosing.md"))
    for page in (docs, choosing):
        page.write_text("before\n<!-- brokers -->\nold\n<!-- /brokers -->\nafter\n")
    write(brokers.figures("embedded", None, VALUES), "a machine", "2026-01-01", docs, readme, choosing)
    assert "| embedded | 2,000 | 12,346 | 1.2 | 20.0 |" in choosing.read_text()
    assert "| embedded: put |" in docs.read_text()
    for page in (docs, choosing):
        assert "Measured on a machine" in page.read_text()
        assert "2026-01-01" in page.read_text()
        assert "old" not in page.read_text()
    assert not readme.exists()


def test_both_pages_have_their_markers() -> None:
    for page in (DOCS, CHOOSING):
        assert page.read_text().count(f"<!-- {PART} -->") == page.read_text().count(f"<!-- /{PART} -->") == 1
