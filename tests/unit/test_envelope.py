"""How a message travels through a broker's headers."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.brokers.envelope import ATTEMPTS, Envelope, envelope_of, headers_of
from millrace.types import Death, Failure, Message

_TIMES = st.floats(0, 4e9)
_DEATHS = st.builds(
    lambda text, at: Death("failed", Failure("ValueError", text), "q", 3, at, at), st.text(max_size=50), _TIMES
)
_ENVELOPES = st.builds(
    Envelope,
    st.builds(
        Message,
        st.text(min_size=1, max_size=50),
        st.binary(max_size=20),
        st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=5),
        _TIMES,
        st.text(max_size=20),
    ),
    st.integers(0, 10**6),
    _TIMES,
    _TIMES,
    st.one_of(st.just(math.inf), _TIMES),
    st.none() | _DEATHS,
)


@given(_ENVELOPES)
@example(Envelope(Message("\x7f", group="\x7f", attributes={"a": "\x7f"})))
def test_what_goes_in_comes_out(envelope: Envelope) -> None:
    headers = headers_of(envelope)
    assert all(text.isascii() and text.isprintable() for pair in headers.items() for text in pair)
    assert envelope_of(headers, envelope.message.body, id="other", sent_at=9.0) == envelope


def test_plain_attributes_and_ids_are_seen_by_others() -> None:
    message = Message("order 17", b"", {"content-type": "image/png", "Ключ": "a"}, 1.5, "g")
    headers = headers_of(Envelope(message))
    assert headers == {
        "content-type": "image/png",
        "millrace-id": "order 17",
        "millrace-sent-at": "1.5",
        "millrace-group": "g",
        "millrace-attributes": '{"\\u041a\\u043b\\u044e\\u0447":"a"}',
    }


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (" a", False),
        ("a ", False),
        ("a b", True),
        ("", False),
        ("a\x7f", False),
        ("x" * 1024, True),
        ("x" * 1025, False),
    ],
)
def test_a_value_that_any_header_can_carry_is_one(value: str, plain: bool) -> None:
    headers = headers_of(Envelope(Message("m1", attributes={"a": value})))
    assert (headers.get("a") == value) is plain
    assert ("millrace-attributes" in headers) is not plain


def test_a_message_of_somebody_else_has_the_brokers_id() -> None:
    envelope = envelope_of({"Priority": "high"}, b"x", id="17-0", sent_at=3.0)
    assert envelope == Envelope(Message("17-0", b"x", {"Priority": "high"}, 3.0))


@pytest.mark.parametrize("value", ["", "x", "1.5", "null", '"', "{}", "9" * 400])
def test_a_strange_header_counts_as_missing(value: str) -> None:
    names = ["id", "sent-at", "group", "attempts", "first-failed-at", "expires-at", "death", "attributes"]
    envelope = envelope_of({f"millrace-{name}": value for name in names}, b"", id="17-0", sent_at=3.0)
    assert envelope.attempts == 0
    assert envelope.death is None
    assert envelope.message.id == (value or "17-0")
    assert ATTEMPTS not in envelope.message.attributes
