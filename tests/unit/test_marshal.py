"""What Lambda takes as a result passes with its value; what it refuses is refused here, with path, type and way out."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.aws.marshal import MarshalError, marshal


class Scalar:
    """As numpy's scalars and arrays look from outside."""

    def __init__(self, ndim: int) -> None:
        self.ndim = ndim

    def item(self) -> int:
        return 1

    def tolist(self) -> list[int]:
        return [1]


LOOP: list[Any] = []
LOOP.append(LOOP)

REFUSED = [
    ({"a": {1, 2}}, "$.a: set is not JSON; return sorted(x) or list(x)"),
    ([0, b"x"], "$[1]: bytes is not JSON; return base64.b64encode(x).decode()"),
    ({"day": date(2026, 1, 1)}, "$.day: datetime.date is not JSON; return x.isoformat()"),
    ({"scores": [0.5, Scalar(0)]}, "$.scores[1]: test_marshal.Scalar is not JSON; return x.item()"),
    ((Scalar(2),), "$[0]: test_marshal.Scalar is not JSON; return x.tolist()"),
    (object(), "$: object is not JSON; return dicts, lists, strings, numbers, booleans or None"),
    ({"p": float("nan")}, "$.p: float nan has no form in JSON; return None or a string"),
    ({"p": Decimal("Infinity")}, "$.p: decimal.Decimal Infinity has no form in JSON; return None or a string"),
    ({(1, 2): 3}, "$: the key (1, 2) is a tuple; JSON keys are strings"),
    ({"t": "\ud800"}, "$.t: str is not valid Unicode"),
    ({"\ud800": 1}, "$, a key: str is not valid Unicode"),
    (LOOP, "nested too deeply, or contains itself"),
]


@pytest.mark.parametrize(("value", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_what_json_cannot_hold_is_named_with_its_path_and_the_way_out(value: Any, text: str) -> None:
    with pytest.raises(MarshalError, match=r"^Unable to marshal response: ") as caught:
        marshal(value)
    assert text in str(caught.value)


def test_decimals_are_numbers_as_boto3s_users_expect() -> None:
    assert json.loads(marshal([Decimal("3"), Decimal("1E+2"), Decimal("0.1")])) == [3, 100, 0.1]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_passes_unchanged(value: Any) -> None:
    assert json.loads(marshal(value)) == value
