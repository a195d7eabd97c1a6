"""docs/how-to/fleet.md: its stage is added to the project of `init`, and `check` says what the page shows.

The parts themselves are started, and taken away, by tests/e2e/test_fleet.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from terminal import Session, steps

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "fleet.md"


def fenced(language: str, words: str) -> str:
    """The page's block of this language that has these words."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in found if words in block)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    opened = Session(tmp_path)
    opened.run("millrace init hello my-app", [])
    opened.run("cd my-app", [])
    made = (opened.folder / "millrace.yml").read_text()
    stages = fenced("yaml", "stages:").split("\n", 1)[1]
    opened.write("millrace.yml", made + "\n" + stages)
    return opened


def test_check_says_what_the_page_shows(session: Session) -> None:
    _, command, lines = next(step for step in steps(PAGE) if step[1].startswith("millrace check"))
    session.run(command, lines)


def test_a_forgotten_database_is_warned_of_as_shown(session: Session) -> None:
    made = (session.folder / "millrace.yml").read_text()
    session.write("millrace.yml", re.sub(r"^ +database:.*\n", "", made, flags=re.MULTILINE))
    done = session.call(["millrace", "check", "--stage", "prod"])
    shown = " ".join(fenced("text", "warning:").split())
    assert re.sub(r":\d+:\d+:", ":", shown) in re.sub(r":\d+:\d+:", ":", " ".join((done.stdout + done.stderr).split()))
