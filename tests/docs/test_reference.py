"""The pages that are made from the code are up to date, and the others name what exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from millrace.cli.registry import COMMANDS
from millrace.config.docs import undescribed

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
import generate  # noqa: E402


@pytest.mark.parametrize("page", ["config.md", "cli.md", "compatibility.md"])
def test_reference_pages_are_up_to_date(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("MILLRACE_PROJECT", "MILLRACE_STAGE"):
        monkeypatch.delenv(name, raising=False)
    assert (generate.REFERENCE / page).read_text() == generate.pages()[page], "run `make reference`"


def test_main_writes_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(generate, "REFERENCE", tmp_path / "reference")
    generate.main()
    assert {path.name for path in (tmp_path / "reference").iterdir()} == {"config.md", "cli.md", "compatibility.md"}


def test_every_field_is_described() -> None:
    assert undescribed() == []


def test_every_command_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    assert [name for name in COMMANDS if f"\n### {name}\n" not in text] == []


def test_each_promise_names_tests_that_exist() -> None:
    text = (DOCS / "semantics.md").read_text()
    promises = re.split(r"^\*\*\d+\. ", text.partition("## What a crash")[0], flags=re.MULTILINE)[1:]
    assert len(promises) == 12  # the thirteenth is the table behind them
    for promise in promises:
        named = re.findall(r"`((?:tests|millrace)/[\w/]+\.py)`", promise.partition("*Test")[2])
        assert named, promise
        assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`((?:tests|millrace)/[\w/]+\.py)`", (DOCS / "semantics.md").read_text())
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r": ([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text()))
    assert {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} == listed
