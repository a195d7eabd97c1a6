from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.config.units import format_bytes, format_seconds, seconds, size


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("20ms", 0.02), ("10m", 600), ("24h", 86400), ("1d", 86400), ("1.5 h", 5400), (7, 7), (0.5, 0.5)],
)
def test_durations(text: object, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["30 parsecs", "s", "", -1, True, None, [], math.inf, math.nan, "-3s", "1e3s"])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="a duration such as 30s"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"), [("16MB", 16_000_000), ("1GiB", 2**30), ("512 kib", 2**19), ("3B", 3), (9, 9)]
)
def test_sizes(text: object, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["16", "MB", 1.5, -1, True, None, "4Q"])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="a size such as 16MB"):
        size(text)


@pytest.mark.parametrize(
    ("value", "text"), [(30, "30s"), (90, "90s"), (3600, "1h"), (86400, "1d"), (0.02, "20ms"), (0, "0s"), (600, "10m")]
)
def test_durations_read_well(value: float, text: str) -> None:
    assert format_seconds(value) == text


@given(st.integers(0, 10**6))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    assert seconds(format_seconds(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, rel=1e-4)


@pytest.mark.parametrize(("value", "text"), [(1, "1B"), (16_000_000, "16MB"), (1_500_000_000, "1.5GB"), (2000, "2KB")])
def test_sizes_read_well(value: int, text: str) -> None:
    assert format_bytes(value) == text


def test_sizes_beyond_the_largest_unit_stay_numbers() -> None:
    assert [format_bytes(size) for size in (999, 16_000_000, 1_234_000_000_000, 10**12)] == [
        "999B",
        "16MB",
        "1234GB",
        "1000GB",
    ]
