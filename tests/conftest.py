"""How hard Hypothesis tries: quickly by default, the same and more of it each time in CI; where tests find helpers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # tests.services, also when pytest is not run by -m

settings.register_profile("quick", max_examples=50, deadline=None)
# Derandomized, so that a change is judged by the same examples as the one before it.
settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "quick")
