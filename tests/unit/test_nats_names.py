"""What queues are called in the server, what deliveries tell, and what is no receipt."""

from __future__ import annotations

import itertools

import pytest

from millrace.broker import Queue
from millrace.brokers.nats.api import nanoseconds
from millrace.brokers.nats.names import Place, ack_subject, place_in, place_of, stream_of, subject_of
from millrace.brokers.nats.queue import Delivery, NatsQueue

PLACE = Place(7, 2, 9, 1_700_000_000_000_000_123)


def test_plain_names_are_subjects_as_they_are() -> None:
    assert subject_of("", "images") == "images"
    assert subject_of("shop.", "images.dead") == "shop.images.dead"
    assert stream_of("shop.images") == "shop=2Eimages"


def test_no_two_queues_share_a_stream() -> None:
    pieces = ["a", ".", "=", "*", ">", " ", "é", "2E", "\n", "-", "_"]
    names = {"".join(each) for size in (1, 2, 3) for each in itertools.product(pieces, repeat=size)}
    streams = {stream_of(subject_of("", name)) for name in names}
    assert len(streams) == len(names)
    assert not any(set(stream) & set(".*> \n") for stream in streams), "expected names that JetStream takes"


def test_a_delivery_says_where_it_is() -> None:
    ack = ack_subject("stream", PLACE)
    assert place_of(ack.encode()) == PLACE
    domain = b"$JS.ACK.hub.hash.stream.millrace.2.7.9.1700000000000000123.0.random"
    assert place_of(domain) == PLACE
    with pytest.raises(ValueError, match="delivery"):
        place_of(b"$JS.ACK.x")


def test_a_receipt_is_four_numbers() -> None:
    assert place_in(PLACE.receipt) == PLACE
    for odd in (None, (), (1, 2, 3), (1, 2, 3, 4, 5), (1, 2, 3, -4), (1, 2, 3, "4"), (1, 2, 3, True), (2**63, 1, 1, 1)):
        assert place_in(odd) is None, f"expected no receipt: {odd}"


def test_times_have_nine_digits() -> None:
    assert nanoseconds("1970-01-01T00:00:01.000000001Z") == 1_000_000_001
    assert nanoseconds("1970-01-01T00:00:01Z") == 1_000_000_000
    assert nanoseconds("1970-01-01T00:00:01.5Z") == 1_500_000_000


def test_leases_that_ran_out_long_ago_are_forgotten() -> None:
    queue = NatsQueue(Queue("work"), "")
    for number in (1, 2, 3):
        delivery = Delivery(Place(number, 1, number, 1), b"", b"", b"", 0.0)
        queue.hold(delivery, float(number), 10.0, None)
    queue.sweep(72.5)
    assert [queue.holding(number) is None for number in (1, 2, 3)] == [True, True, False]
    queue.sweep(1000.0)
    assert queue.holding(3) is None
