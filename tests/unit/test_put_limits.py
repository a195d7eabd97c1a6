"""What adapters refuse of puts: bodies that are too large, times that are none."""

import math

import pytest

from millrace.brokers.limits import check_moments, check_sizes
from millrace.errors import TooLarge, Unencodable
from millrace.types import Message, Put


def put(body: bytes = b"", sent_at: float = 0.0) -> Put:
    return Put("q", Message("a", body, {}, sent_at))


def test_a_body_is_refused_beyond_the_bound_and_not_at_it() -> None:
    check_sizes([put(b"12345")], 5)
    with pytest.raises(TooLarge, match="message a: 6 bytes, at most 5 can be queued"):
        check_sizes([put(b"12345"), put(b"123456")], 5)


def test_without_a_bound_no_body_is_too_large() -> None:
    check_sizes([put(b"x" * 1_000_000)], None)


@pytest.mark.parametrize("sent_at", [math.inf, -math.inf, math.nan, -1.0, 253402300800.0])
def test_a_time_of_no_calendar_is_refused(sent_at: float) -> None:
    with pytest.raises(Unencodable, match=r"message a: .* is not a time"):
        check_moments([put(sent_at=sent_at)])


def test_a_time_of_a_calendar_is_taken() -> None:
    check_moments([put(sent_at=0.0), put(sent_at=1795315347.9), put(sent_at=253402300799.0)])
