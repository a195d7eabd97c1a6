"""docs/how-to/upgrade-without-loss.md: workers are exchanged and killed as it shows, on the queue in `.millrace`."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet_terminal import FleetSession
from terminal import steps

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "upgrade-without-loss.md"


@pytest.mark.timeout(400)
def test_the_page_is_walked_through(tmp_path: Path) -> None:
    session = FleetSession(tmp_path)
    try:
        for _, command, lines in steps(PAGE):
            session.run(command, lines)
    finally:
        session.close()
