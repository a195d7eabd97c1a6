"""Event patterns: what they let pass, and what is said of those that mean nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.patterns import PatternError, compile_any, compile_pattern


@pytest.mark.parametrize(
    ("tests", "passes", "refused"),
    [
        (["a"], ["a", ["b", "a"], [["a"]]], ["b", "", None, 1, [], {"a": 1}]),
        ([""], [""], ["a", None]),
        ([None], [None, [None]], ["", 0, False]),
        ([True], [True], [1, "true", False]),
        ([1], [1, 1.0, Decimal("1.00")], ["1", True, 2]),
        ([{"prefix": "ab"}], ["abc", "ab"], ["cab", 1, None]),
        ([{"prefix": {"equals-ignore-case": "AB"}}], ["abc", "Abc"], ["cab"]),
        ([{"suffix": ".png"}], ["x.png"], ["png", "x.PNG"]),
        ([{"suffix": {"equals-ignore-case": ".png"}}], ["x.PNG"], ["x.jpg"]),
        ([{"equals-ignore-case": "Straße"}], ["STRASSE", "straße"], ["strase"]),
        ([{"wildcard": "in/*.jpg"}], ["in/a.jpg", "in/.jpg", "in/b/c.jpg"], ["in/a.png", "out/in/a.jpg"]),
        ([{"wildcard": "*a*b*"}], ["ab", "xaxbx"], ["ba", "aab"[:2]]),
        ([{"wildcard": "ab*ba"}], ["abba", "abxba"], ["aba"]),
        ([{"wildcard": r"a\*\\b"}], [r"a*\b"], [r"ax\b", "a*b"]),
        ([{"numeric": ["=", 3]}], [3, 3.0], ["3", 4, True]),
        ([{"numeric": [">", 0, "<=", 5]}], [0.1, 5], [0, 5.1]),
        ([{"numeric": ["<", -1]}], [-2], [-1]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.255"], ["10.0.1.0", "nonsense", 10, "::1"]),
        ([{"cidr": "2001:db8::/32"}], ["2001:db8::5"], ["10.0.0.1"]),
        ([{"anything-but": "a"}], ["b", 1, None], ["a", []]),
        ([{"anything-but": ["a", 2]}], ["b", "2"], ["a", 2]),
        ([{"anything-but": {"prefix": "a"}}], ["b"], ["ab"]),
        ([{"anything-but": {"prefix": ["a", "b"]}}], ["c"], ["ab", "ba"]),
        ([{"anything-but": {"suffix": ".x"}}], ["a.y"], ["a.x"]),
        ([{"anything-but": {"equals-ignore-case": ["A", "b"]}}], ["c"], ["a", "B"]),
        ([{"anything-but": {"wildcard": "a*c"}}], ["ab"], ["abc"]),
        ([{"exists": True}], ["x", None, 0, [1]], [{"y": 1}, []]),
        ([{"exists": False}], [{"y": 1}, []], ["x", None]),
        (["a", {"numeric": [">", 5]}, {"exists": False}], ["a", 6, []], ["b", 5]),
    ],
)
def test_a_field(tests: list[Any], passes: list[Any], refused: list[Any]) -> None:
    matches = compile_pattern({"field": tests})
    assert [value for value in passes if not matches({"field": value, "other": 1})] == []
    assert [value for value in refused if matches({"field": value})] == []
    assert matches({}) is ({"exists": False} in tests)


def test_every_field_must_match_and_others_do_not_matter() -> None:
    matches = compile_pattern({"a": [1], "b": {"c": ["x"], "d": [{"exists": False}]}})
    assert matches({"a": 1, "b": {"c": "x"}, "z": {}})
    assert not matches({"a": 1, "b": {"c": "x", "d": None}})
    assert not matches({"a": 1, "b": "x"})
    assert not matches({"a": 2, "b": {"c": "x"}})


def test_of_a_list_of_objects_one_alone_must_match() -> None:
    matches = compile_pattern({"items": {"name": ["pen"], "price": [{"numeric": ["<", 5]}]}})
    assert matches({"items": [{"name": "ink", "price": 1}, {"name": "pen", "price": 4}]})
    assert not matches({"items": [{"name": "ink", "price": 1}, {"name": "pen", "price": 9}]})
    absent = compile_pattern({"items": {"name": [{"exists": False}]}})
    assert absent({})
    assert absent({"items": []})


def test_or_takes_either_beside_what_else_must_match() -> None:
    matches = compile_pattern({"a": [1], "$or": [{"b": [1]}, {"c": {"d": [2]}, "e": [3]}]})
    assert matches({"a": 1, "b": 1})
    assert matches({"a": 1, "c": {"d": 2}, "e": 3})
    assert not matches({"a": 1, "c": {"d": 2}})
    assert not matches({"b": 1})


def test_one_of_several_patterns_is_enough_and_none_lets_everything_pass() -> None:
    matches = compile_any([{"a": [1]}, {"b": [1]}])
    assert matches({"b": 1})
    assert not matches({})
    assert compile_any([])({})
    assert compile_pattern({})("anything")


@pytest.mark.parametrize(
    ("pattern", "where", "expected"),
    [
        ("text", "$", "a mapping of fields"),
        ({"a": "x"}, "$.a", "a list of values, or a mapping"),
        ({"a": []}, "$.a", "at least one value"),
        ({"a": [["x"]]}, "$.a[0]", "a string, a number"),
        ({"a": [{"perfix": "x"}]}, "$.a[0]", "one of anything-but, cidr"),
        ({"a": [{"prefix": "x", "suffix": "y"}]}, "$.a[0]", "one comparison"),
        ({"a": ["x", {"prefix": 1}]}, "$.a[1].prefix", "a string"),
        ({"a": [{"prefix": ""}]}, "$.a[0].prefix", "a string"),
        ({"a": [{"prefix": {"suffix": "x"}}]}, "$.a[0].prefix", "equals-ignore-case"),
        ({"a": [{"exists": "yes"}]}, "$.a[0].exists", "true or false"),
        ({"a": [{"numeric": [">"]}]}, "$.a[0].numeric", "a comparison and a number"),
        ({"a": [{"numeric": ["!=", 1]}]}, "$.a[0].numeric[0]", "one of =, <"),
        ({"a": [{"numeric": ["=", "1"]}]}, "$.a[0].numeric[1]", "a number"),
        ({"a": [{"numeric": ["<", 1, ">", 0]}]}, "$.a[0].numeric", "a lower bound"),
        ({"a": [{"cidr": "10.0.0.0/99"}]}, "$.a[0].cidr", "address range"),
        ({"a": [{"wildcard": "a**b"}]}, "$.a[0].wildcard", "two wildcards"),
        ({"a": [{"wildcard": "a\\b"}]}, "$.a[0].wildcard", "backslash"),
        ({"a": [{"wildcard": "a\\"}]}, "$.a[0].wildcard", "backslash"),
        ({"a": [{"anything-but": []}]}, "$.a[0].anything-but", "at least one"),
        ({"a": [{"anything-but": {"numeric": ["=", 1]}}]}, "$.a[0].anything-but", "one of prefix"),
        ({"a": [{"anything-but": [None]}]}, "$.a[0].anything-but", "strings or numbers"),
        ({"$or": [{"a": [1]}]}, "$.$or", "two patterns"),
        ({"b": {"$or": [{"a": [1]}, {"a": 1}]}}, "$.b.$or[1].a", "a list of values"),
    ],
)
def test_a_pattern_that_means_nothing_says_where(pattern: Any, where: str, expected: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert caught.value.problem.startswith(f"{where}: expected ")
    assert expected in caught.value.problem


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "prefix", "$or"]), inner),
    max_leaves=8,
)


@given(_json, _json)
def test_no_pattern_and_no_event_ends_in_an_error_of_ours(pattern: Any, event: Any) -> None:
    try:
        matches = compile_pattern(pattern)
    except PatternError:
        return
    assert matches(event) in (True, False)
