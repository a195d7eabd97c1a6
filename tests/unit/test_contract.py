"""Failures as values, and results as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import Dead, Retry
from millrace.replica.contract import NotJson, clean, dotted, failure_of, to_json


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_names_are_those_that_users_write() -> None:
    assert dotted(ValueError) == "ValueError"
    assert dotted(json.JSONDecodeError) == "json.decoder.JSONDecodeError"
    assert dotted(Retry) == "Retry"


def test_failure_of_an_exception() -> None:
    failure = failure_of(raised(FileNotFoundError("cat.jpg")))
    assert (failure.type, failure.message, failure.retry) == ("FileNotFoundError", "cat.jpg", None)
    assert failure.mro == ("FileNotFoundError", "OSError", "Exception", "BaseException")
    assert failure.traceback.startswith("Traceback")
    assert failure.traceback.endswith("FileNotFoundError: cat.jpg")


def test_what_user_code_wishes() -> None:
    again = failure_of(Retry("busy", after=3.0))
    assert (again.retry, again.after_s, again.message) == (True, 3.0, "busy")
    never = failure_of(Dead("no face"))
    assert (never.retry, never.after_s) == (False, None)


def test_an_exception_that_cannot_be_told() -> None:
    assert "whose text cannot be had: RuntimeError" in failure_of(Unspeakable()).message


def test_an_exception_whose_traceback_cannot_be_told() -> None:
    failure = failure_of(SyntaxError("torn", ("app.py", 1, "not a column", "text")))  # type: ignore[arg-type]
    assert (failure.type, failure.traceback) == ("SyntaxError", "")


def test_long_and_broken_texts_are_made_fit() -> None:
    failure = failure_of(ValueError("a" * 100_000 + "\ud800"))
    assert len(failure.message) < 9_000
    assert "characters left out" in failure.message
    assert clean("\ud800") == "?"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (numpy.float32(1), "$: numpy.float32 is not JSON; return x.item()"),
        ({"a": [0, numpy.zeros(3)]}, "$.a[1]: numpy.ndarray is not JSON; return x.tolist()"),
        ([object()], "$[0]: object is not JSON; return dicts, lists, strings, numbers, booleans or None"),
        ({"a": {(1, 2): 3}}, "$.a: the key (1, 2) is a tuple; JSON keys are strings"),
        ({"a": "\ud800"}, "$.a: str is not valid Unicode"),
        ({"a": {"\ud800": 1}}, r"$.a: the key '\ud800' is not valid Unicode"),
    ],
)
def test_what_is_not_json_is_named_with_its_path(value: Any, said: str) -> None:
    with pytest.raises(NotJson) as caught:
        to_json(value)
    assert str(caught.value).startswith(said)


def test_a_value_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotJson, match="nested too deeply or contains itself"):
        to_json(loop)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_json_comes_back_the_same(value: Any) -> None:
    assert json.loads(to_json(value)) == value


@given(values, st.lists(st.sampled_from(["list", "dict"])))
def test_the_culprit_is_found_wherever_it_is(value: Any, wraps: list[str]) -> None:
    bad: Any = numpy.int64(1)
    path = ""
    for wrap in wraps:
        bad = [value, bad] if wrap == "list" else {"k": value, "bad": bad}
        path = ("[1]" if wrap == "list" else ".bad") + path
    with pytest.raises(NotJson) as caught:
        to_json(bad)
    assert str(caught.value) == f"${path}: numpy.int64 is not JSON; return x.item()"
