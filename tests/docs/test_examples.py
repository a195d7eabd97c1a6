"""The examples of the pages are run: yaml loads as a project, python compiles and runs, console commands succeed.

A block with a title is a file of the page's session (terminal.py); every other yaml block is a millrace.yml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import needs_module
from terminal import Session, steps

from millrace.config.load import load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *[DOCS / name for name in ("index.md", "tutorial.md", "semantics.md")],
    *sorted((DOCS / "how-to").glob("*.md")),
]
# Their sessions need servers or several terminals: each is walked by a module of its own (test_*_page.py).
WITH_SERVERS = {"fleet", "move-a-queue", "other-languages", "upgrade-without-loss"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def named(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{page.stem}-{index}")
        for page in PAGES
        for index, block in enumerate(blocks(page, language))
    ]


@pytest.mark.parametrize("block", named("yaml"))
def test_yaml_is_a_sound_project(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r"\$\{env:(\w+)\}", block):
        monkeypatch.setenv(variable, "set")
    (tmp_path / "millrace.yml").write_text(block)
    project = load(tmp_path)
    for stage in project.stages:
        load(tmp_path, stage=stage)


def test_the_tutorial_shows_the_project_that_init_makes() -> None:
    made = (ROOT / "millrace" / "templates" / "image-classifier" / "millrace.yml").read_text()
    assert blocks(DOCS / "tutorial.md", "yaml")[0] == made.replace("service: my-app", "service: pets")


@pytest.mark.parametrize("block", named("python"))
def test_python_runs(block: str) -> None:
    exec(compile(block, "example", "exec"), {})


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = Session(tmp_path)
    yield opened
    opened.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "console") and page.stem not in WITH_SERVERS],
    ids=lambda page: page.stem,
)
def test_console_commands_succeed(page: Path, session: Session) -> None:
    every = list(steps(page))
    if any("image-classifier" in text for _, text, _ in every):
        needs_module("onnxruntime", "sklearn")
    for kind, text, lines in every:
        if kind == "file":
            session.write(text, "".join(lines))
        else:
            session.run(text, lines)
