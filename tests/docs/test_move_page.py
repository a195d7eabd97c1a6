"""docs/how-to/move-a-queue.md: its session is held, from the queue in `.millrace` to a Redis."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from terminal import Session, steps

from tests.services import service

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-a-queue.md"


def test_the_page_is_walked_through(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.places["redis://cache.internal/"] = f"{service('redis')}?prefix=doc{secrets.token_hex(4)}"
    for command in ("millrace init hello pets", "cd pets", "millrace send greet Ada", "millrace send greet Bob"):
        session.run(command, [])
    for _, command, lines in steps(PAGE):
        session.run(command, [re.sub(r"[\d.]+s$", "...", line) for line in lines])
