"""What tells one delivery of a message from another in a ledger."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from millrace.stores.deliveries import delivery_of
from millrace.types import Lease, Message


def told(receipt: Hashable) -> str:
    return delivery_of(Lease("q", Message("a"), receipt, 1, 0.0))


def test_a_short_receipt_is_told_as_it_is() -> None:
    assert told((4503599627370495, 1, 7, 9)) == "[4503599627370495,1,7,9]"
    assert told("short") == '"short"'


@pytest.mark.parametrize("receipt", ["x" * 47, ("x" * 20, "y" * 30), 17, None])
def test_any_other_is_hashed(receipt: Hashable) -> None:
    assert len(told(receipt)) == 24
    assert told(receipt)[0] in "0123456789abcdef"


def test_no_two_receipts_are_told_alike() -> None:
    receipts = [17, "17", (17,), ("17",), "x" * 47, ("x" * 47,), told("x" * 47), told(17), told((17,)), None]
    assert len({told(each) for each in receipts}) == len(receipts)
