"""Pauses grow to a limit, and differ from process to process."""

from __future__ import annotations

from itertools import islice

from millrace.pauses import pauses


def test_pauses_double_up_to_the_longest() -> None:
    for pause_s, most_s in zip(pauses(0.1, 1.0), (0.1, 0.2, 0.4, 0.8, 1.0, 1.0), strict=False):
        assert most_s / 2 <= pause_s <= most_s


def test_two_that_begin_together_do_not_come_together() -> None:
    assert list(islice(pauses(), 5)) != list(islice(pauses(), 5))
