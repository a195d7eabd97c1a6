"""Sampling: every set of lines equally likely, in the file's order, header first, rows whole."""

from __future__ import annotations

import io
import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.feeds import sample
from millrace.feeds.item import FeedError
from millrace.feeds.sample import reservoir, sample_lines

CHI_SQUARE_999 = {9: 27.88, 99: 148.23}  # by degrees of freedom: exceeded once in a thousand seeds


def chi_square(counts: list[int], expected: float) -> float:
    return sum((count - expected) ** 2 / expected for count in counts)


@pytest.mark.parametrize("size", [1, 2, 10, 50])
def test_each_item_is_equally_likely(size: int) -> None:
    rng = random.Random(7)
    rounds = 2000
    counts = Counter(item for _ in range(rounds) for item in reservoir(range(100), size, rng))
    share = size / 100
    # Draws without replacement vary less than independent ones: by (1 - share).
    statistic = chi_square([counts[item] for item in range(100)], rounds * share) / (1 - share)
    assert statistic < CHI_SQUARE_999[99]


def test_each_set_is_equally_likely() -> None:
    rng = random.Random(11)
    rounds = 5000
    counts = Counter(tuple(reservoir(range(5), 2, rng)) for _ in range(rounds))
    assert set(counts) == set(combinations(range(5), 2))
    assert chi_square(list(counts.values()), rounds / 10) < CHI_SQUARE_999[9]


@given(length=st.integers(0, 300), size=st.integers(0, 50), seed=st.integers())
def test_a_sample_is_that_many_different_items_in_order(length: int, size: int, seed: int) -> None:
    kept = reservoir(range(length), size, random.Random(seed))
    assert len(kept) == min(length, size)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(range(length))


def test_a_stream_is_read_once_and_never_kept() -> None:
    alive = 0

    class Tracked:
        def __init__(self) -> None:
            nonlocal alive
            alive += 1
            assert alive <= 13

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    assert len(reservoir((Tracked() for _ in range(5000)), 10, random.Random(1))) == 10


def test_the_gap_ends_where_numbers_do() -> None:
    assert sample._gap(1.0, random.Random(0)) == 0
    assert sample._gap(0.0, random.Random(0)) > 10**18


def drawn(text: bytes, size: int, *, header: bool = False, quoted: bool = False) -> list[bytes]:
    return list(sample_lines(io.BytesIO(text), "f", size, header=header, quoted=quoted, rng=random.Random(3)))


def test_the_header_stays_and_the_last_line_gets_its_newline() -> None:
    assert drawn(b"a,b\n1,2\n\n3,4", 5, header=True) == [b"a,b\n", b"1,2\n", b"3,4\n"]
    assert drawn(b"", 5, header=True) == []


def test_quoted_rows_are_kept_whole() -> None:
    text = b'id,text\n1,"two\nlines"\n2,"say ""hi"""\n3,"open'
    assert drawn(text, 9, header=True, quoted=True) == [
        b"id,text\n",
        b'1,"two\nlines"\n',
        b'2,"say ""hi"""\n',
        b'3,"open\n',
    ]


def test_what_is_too_long_is_an_error_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MAX_ITEM_BYTES", 8)
    with pytest.raises(FeedError, match="f:2: longer"):
        drawn(b"short\nmuch too long\n", 1)
    with pytest.raises(FeedError, match="f:2: a quote is not closed"):
        drawn(b'short\n"a\nbc\nde\nfg\n', 1, quoted=True)
