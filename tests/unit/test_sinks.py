"""The effects of a result."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.config.schema import Sink
from millrace.flow.sinks import Sinks
from millrace.ids import derived_id
from millrace.types import Lease, Message

SENT = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def effects(sink: Sink, value: bytes, id: str = "m1", key: str = "id", sort: str = "", group: str = ""):
    lease = Lease("q", Message(id, b"", {}, SENT, group), 1, 1, 0.0)
    return Sinks("f", [sink], {"t": [key, sort] if sort else [key]}).effects(lease, value, SENT + 5)


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (b'{"digit":7}', {"id": "m1", "digit": 7}),
        (b"{}", {"id": "m1"}),
        (b"[1,2]", {"id": "m1", "value": [1, 2]}),
        (b"null", {"id": "m1", "value": None}),
        (b'{"note":"an \\"id\\" inside"}', {"id": "m1", "note": 'an "id" inside'}),
        (b'{"inner":{"id":5}}', {"id": "m1", "inner": {"id": 5}}),
        (b'{"id":null,"a":1}', {"id": "m1", "a": 1}),
    ],
)
def test_a_row_is_the_results_fields_beside_the_id(value: bytes, row: dict[str, object]) -> None:
    (written,) = effects(Sink(table="t"), value).rows
    assert (written.table, written.key) == ("t", "m1")
    assert json.loads(written.value) == row
    assert written.value.count(b'"id":') == json.dumps(row).count('"id":')


def test_a_result_with_the_key_field_names_its_own_row() -> None:
    (row,) = effects(Sink(table="t"), b'{"user":42,"score":1}', key="user").rows
    assert row.key == "42"
    assert json.loads(row.value) == {"user": 42, "score": 1}


def test_rows_of_a_table_with_a_sort_key_are_named_by_both_fields() -> None:
    first, second = (
        effects(Sink(table="t"), b'{"user":"a","at":%d,"score":1}' % at, key="user", sort="at").rows[0] for at in (1, 2)
    )
    assert (first.key, second.key) == ('["a", "1"]', '["a", "2"]')
    (row,) = effects(Sink(table="t"), b'{"user":1.0}', key="user", sort="at").rows
    assert (row.key, row.value) == ("1", b'{"user":1.0}')


def test_a_queue_message_is_the_result_as_json_with_a_derived_id_and_the_same_group() -> None:
    (put,) = effects(Sink(queue="out"), b'{"a":1}', group="g").puts
    assert put.queue == "out"
    assert put.message == Message(
        derived_id("m1", "f", 0), b'{"a":1}', {"content-type": "application/json"}, SENT + 5, "g"
    )


def test_an_object_is_named_by_the_messages_time_so_that_a_repeat_overwrites() -> None:
    sink = Sink(bucket="lake/{date}/{hour}/{function}/{queue}/{year}{month}{day}-{id}.json")
    (item,) = effects(sink, b"1", id="../a b").objects
    assert item.bucket == "lake"
    assert item.key == "2023-11-14/22/f/q/20231114-..%2Fa%20b.json"


def test_a_webhook_gets_the_result_under_a_derived_id() -> None:
    (post,) = effects(Sink(webhook="http://127.0.0.1:1/x"), b"1").posts
    assert (post.url, post.id, post.body) == ("http://127.0.0.1:1/x", derived_id("m1", "f", 0), b"1")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_every_json_value_makes_a_row_that_is_an_object_with_the_key(value: object) -> None:
    (row,) = effects(Sink(table="t"), json.dumps(value).encode()).rows
    assert json.loads(row.value)["id"] in (
        row.key,
        *([value["id"]] if isinstance(value, dict) and "id" in value else []),
    )
