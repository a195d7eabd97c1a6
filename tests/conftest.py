"""How hard Hypothesis tries: quickly by default, the same and more of it each time in CI."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("quick", max_examples=50, deadline=None)
# Derandomized, so that a change is judged by the same examples as the one before it.
settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")
