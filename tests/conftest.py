"""How hard Hypothesis tries: quickly by default, the same and more of it each time in CI; where tests find helpers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # tests.services, also when pytest is not run by -m

settings.register_profile("quick", max_examples=50, deadline=None)
# Derandomized, so that a change is judged by the same examples as the one before it.
settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Coverage does not look at the examples of `@given`: it doubles their time, and its bars are for tests that say
    what they run. State machines say for themselves."""
    for item in items:
        if hasattr(getattr(item, "obj", None), "hypothesis"):
            item.add_marker("no_cover")
