"""Timing learns duration = a·n + b."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.flow.timing import Timing


def learned(*observations: tuple[int, float]) -> Timing:
    timing = Timing()
    for n, seconds in observations:
        timing.learn(n, seconds)
    return timing


def test_nothing_learned_expects_nothing_and_limits_nothing() -> None:
    timing = Timing()
    assert timing.expected_s(100) == 0.0
    assert timing.fitting(0.001, 64) == 64


def test_finds_slope_and_intercept() -> None:
    timing = learned(*[(n, 0.01 * n + 0.5) for n in (1, 8, 32, 16, 4)])
    assert timing.line == pytest.approx((0.01, 0.5))
    assert timing.expected_s(64) == pytest.approx(1.14)
    assert timing.fitting(1.0, 1000) == 50


def test_batches_of_one_size_charge_everything_to_the_items() -> None:
    timing = learned((10, 1.0), (10, 1.0))
    assert timing.line == pytest.approx((0.1, 0.0))
    assert timing.fitting(2.0, 100) == pytest.approx(20, abs=1)


def test_forgets() -> None:
    timing = learned(*[(n, 1.0 * n) for n in (1, 2, 3)] * 5, *[(n, 0.1 * n) for n in (1, 2, 3)] * 100)
    assert timing.expected_s(10) == pytest.approx(1.0, rel=0.01)


def test_one_item_is_always_tried() -> None:
    assert learned((1, 5.0), (2, 5.0)).fitting(0.1, 10) == 1


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 1e4)), max_size=30),
    st.floats(0, 1e4),
    st.integers(1, 10_000),
)
def test_never_negative_and_never_out_of_bounds(seen: list[tuple[int, float]], limit_s: float, most: int) -> None:
    timing = learned(*seen)
    a, b = timing.line
    assert a >= 0
    assert b >= -1e-6 * max((t for _, t in seen), default=0)
    assert 1 <= timing.fitting(limit_s, most) <= most
