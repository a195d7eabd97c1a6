"""What adapters refuse of puts: bodies that are too large, times and texts that are none."""

import math

import pytest

from millrace.brokers.limits import check_moments, check_sizes, check_texts
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


HALF = "caf\u00e9\ud800"


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (Put(HALF, Message("a")), r"queue café\\ud800, message a: the name of its queue has '\\ud800' at character 4,"),
        (Put("q", Message(HALF)), r"queue q, message café\\ud800: its id has"),
        (Put("q", Message("a", group=HALF)), r"message a: its group has"),
        (Put("q", Message("a"), dedupe=HALF), r"message a: its dedupe key has"),
        (Put("q", Message("a", attributes={"é": "ü", HALF: ""})), r"the name of its attribute café\\ud800 has"),
        (Put("q", Message("a", attributes={"é": HALF})), r"its attribute é has"),
        (Put("q", Message("x" * 400, attributes={"é": HALF})), r"message x{200}: its"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_wherever_it_is(wrong: Put, where: str) -> None:
    with pytest.raises(Unencodable, match=where) as caught:
        check_texts([put(), wrong])
    assert str(caught.value).encode(), "words that any terminal and log can hold"


def test_all_other_texts_are_taken() -> None:
    text = "plain café ключ 日本 \U0001f408 \0"
    check_texts([Put(text, Message(text, b"", {text: text}, 0.0, text), dedupe=text)])
