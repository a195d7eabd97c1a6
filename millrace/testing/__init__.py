"""What adapters are tested with, shipped so that a third party's adapter gets the same suites."""

from __future__ import annotations

from millrace.testing.clock import ManualClock

__all__ = ["ManualClock"]
