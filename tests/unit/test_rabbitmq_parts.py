"""The parts of the RabbitMQ adapter that need no server."""

from __future__ import annotations

import asyncio
import math
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import needs_module

needs_module("pika")

from pika import data, frame, spec  # noqa: E402

from millrace.broker import Queue, lease_of  # noqa: E402
from millrace.broker_address import parse_address  # noqa: E402
from millrace.brokers.envelope import Envelope  # noqa: E402
from millrace.brokers.rabbitmq import deaths, delays, open_broker, wire  # noqa: E402
from millrace.brokers.rabbitmq.acks import Acks  # noqa: E402
from millrace.brokers.rabbitmq.broker import RabbitBroker  # noqa: E402
from millrace.brokers.rabbitmq.channel import Channel  # noqa: E402
from millrace.brokers.rabbitmq.connection import Connection  # noqa: E402
from millrace.brokers.rabbitmq.faults import Closed, Lost, advice, is_denied, refused  # noqa: E402
from millrace.brokers.rabbitmq.pace import Pace  # noqa: E402
from millrace.brokers.rabbitmq.properties import received, written  # noqa: E402
from millrace.brokers.rabbitmq.shelf import RECALL_S, Shelf  # noqa: E402
from millrace.brokers.rabbitmq.window import Window  # noqa: E402
from millrace.brokers.rabbitmq.wire import Delivery  # noqa: E402
from millrace.errors import BrokerDenied, BrokerError  # noqa: E402
from millrace.testing import ManualClock  # noqa: E402
from millrace.types import Death, Failure, Lease, Message  # noqa: E402

# ---- delays


@given(st.floats(0.0001, delays.LONGEST_S / 1.04))
def test_a_delay_is_never_short_and_hardly_long(delay_s: float) -> None:
    path = delays.digits(delay_s)
    stops = delays.stops(path)
    total_s = sum(delays.hold_ms(place, digit) for place, digit in stops) / 1000
    assert 1 <= len(stops) <= 4
    assert delay_s - 1e-6 <= total_s <= max(delay_s * 1.032, delay_s + delays.QUANTUM_MS / 1000 + 1e-6)


def test_no_queue_holds_for_longer_than_the_broker_can_count() -> None:
    assert max(delays.hold_ms(place, 3) for place in range(delays.PLACES)) < 2**32


def test_a_delay_beyond_the_longest_is_refused() -> None:
    delays.digits(delays.LONGEST_S)
    with pytest.raises(ValueError, match="longer than"):
        delays.digits(delays.LONGEST_S + 1)


def test_routing_keys_pass_through_the_exchanges_of_their_digits() -> None:
    path = delays.digits(1.0)
    key = delays.routing_key(path, "a.b")
    assert delays.stops(path) == [(2, 3), (1, 3), (0, 3)]  # 63 of 16 ms
    for place in range(delays.PLACES):
        for digit in range(4):
            expected = path[delays.PLACES - 1 - place] == digit
            assert _topic_matches(delays.pattern(place, digit), key) == expected
    assert _topic_matches(delays.due_pattern("a.b"), key)
    assert not _topic_matches(delays.due_pattern("b"), key)


def _topic_matches(pattern: str, key: str) -> bool:
    words, given = pattern.split("."), key.split(".")
    if words[-1] == "#":
        words, given = words[:-1], given[: len(words) - 1]
    return len(words) == len(given) and all(w in ("*", g) for w, g in zip(words, given, strict=True))


# ---- acknowledgements


def test_one_acknowledgement_for_all_up_to_a_tag() -> None:
    acks = Acks()
    acks.done([2, 3])
    assert acks.orders(all=False) == []
    assert acks.waiting
    acks.done([1])
    assert acks.orders(all=False) == [("ack up to", 3)]
    assert not acks.waiting


@given(st.permutations(range(1, 30)), st.data())
def test_every_tag_is_told_once_and_none_too_early(order: list[int], data: st.DataObject) -> None:
    acks, waiting, done = Acks(), set(range(1, 30)), set()
    for tag in order:
        if data.draw(st.integers(0, 4)) == 0:
            told = acks.requeued([tag])
            done.add(tag)
        else:
            acks.done([tag])
            done.add(tag)
            told = acks.orders(all=data.draw(st.booleans()))
        for kind, named in told:
            assert named in waiting, "the broker closes a channel that names a tag twice"
            gone = {each for each in waiting if each <= named} if kind == "ack up to" else {named}
            assert gone <= done
            waiting -= gone
    for kind, named in acks.orders(all=True):
        assert named in waiting
        waiting -= {each for each in waiting if each <= named} if kind == "ack up to" else {named}
    assert waiting == set()


# ---- the window


def test_only_what_the_present_consumer_sent_uses_its_window() -> None:
    window = Window()
    assert window.free == 0
    window.open(4)
    window.came([1, 2], fetched=False)
    assert window.free == 2
    window.open(8)
    window.came([3], fetched=False)
    window.came([4, 5], fetched=True)
    assert window.free == 7
    window.went([1, 2, 4])
    assert window.free == 7
    window.went([3, 5])
    assert window.free == 8
    window.grow(2)
    assert window.free == 10
    window.shut()
    assert window.free == 0


# ---- the pace


def _leases(count: int, size: int) -> list[Lease]:
    return [Lease("q", Message("a", b"x" * size), (), 1, 0.0)] * count


def test_who_comes_back_quickly_is_sent_more_than_he_asks_for() -> None:
    pace = Pace(0.0)
    assert (pace.ahead(10), pace.wider(0, 10), pace.wider(100, 90)) == (0, 10, 25)
    pace.learn(_leases(100, 200), 0.1)
    assert pace.ahead(10) == 0, "expected no rate after so short a time"
    pace.learn(_leases(100, 200), 0.25)
    assert (pace.ahead(10), pace.ahead(1000)) == (40, 200)  # 800 a second for a quarter of one
    assert pace.wider(100, 90) == 100
    assert pace.wider(16_380, 20_000) == 4, "expected an end to it"


def test_large_bodies_are_not_sent_ahead() -> None:
    pace = Pace(0.0)
    for turn in range(1, 21):
        pace.learn(_leases(100, 16 << 20), 0.25 * turn)
    assert pace.ahead(10) == 2


# ---- messages

_TEXT = st.text(max_size=30)
_MESSAGES = st.builds(
    Message,
    id=st.text(min_size=1, max_size=300),
    body=st.binary(max_size=40),
    attributes=st.dictionaries(st.sampled_from(["content-type", "a", "B", "ключ", "x" * 70, "millrace-id"]), _TEXT),
    sent_at=st.floats(1, 4e9),
    group=_TEXT,
)


@given(_MESSAGES, st.integers(0, 3), st.sampled_from([None, 0, 12345]))
def test_a_message_comes_back_whole(message: Message, attempts: int, ttl_ms: int | None) -> None:
    death = Death("dead", Failure("E", "nein"), "q", 1, 1.0, 2.0) if attempts == 2 else None
    envelope = Envelope(message, attempts, 3.5 * attempts, 0.0, math.inf if ttl_ms is None else 1e10, death)
    properties = written(envelope, ttl_ms)
    for redelivered in (False, True):
        found = received(properties, message.body, redelivered=redelivered, now=9.0)
        assert (found.envelope, found.deliveries, found.deaths) == (envelope, int(redelivered), [])
    read = spec.BasicProperties()
    read.decode(properties)
    assert (read.delivery_mode, read.expiration) == (2, None if ttl_ms is None else str(ttl_ms))


def test_others_see_id_and_content_type_where_they_look_for_them() -> None:
    read = spec.BasicProperties()
    read.decode(written(Envelope(Message("an-id", b"{}", {"content-type": "application/json", "kind": "cat"}, 7.5))))
    assert (read.message_id, read.content_type) == ("an-id", "application/json")
    assert read.headers == {"kind": "cat", "millrace-sent-at": "7.5"}


def test_what_others_put_is_read() -> None:
    headers = {"n": 5, "deep": {"a": 1}, "yes": True, "when": datetime(2026, 1, 2, tzinfo=UTC), "list": [1], "s": "t"}
    properties = spec.BasicProperties(
        content_type="text/plain", headers=headers, message_id="theirs", timestamp=1700000000, priority=3
    )
    found = received(b"".join(properties.encode()), b"body", redelivered=True, now=9.0)
    attributes = {"content-type": "text/plain", "n": "5", "yes": "true", "when": "2026-01-02T00:00:00+00:00", "s": "t"}
    assert found.envelope == Envelope(Message("theirs", b"body", attributes, 1700000000.0))
    assert found.deliveries == 1


def test_what_is_said_to_other_programs_is_kept() -> None:
    said = {
        "content_encoding": "gzip",
        "priority": 3,
        "correlation_id": "call-7",
        "reply_to": "amq.rabbitmq.reply-to.g1h2",
        "timestamp": 1700000000,
        "type": "order",
        "app_id": "shop",
    }
    theirs = spec.BasicProperties(content_type="text/plain", message_id="theirs", user_id="shop", **said)
    found = received(b"".join(theirs.encode()), b"", redelivered=False, now=9.0)
    assert found.kept == said
    again = spec.BasicProperties()
    again.decode(written(found.envelope, 1500, found.kept))
    assert {name: getattr(again, name) for name in said} == said
    assert (again.content_type, again.message_id, again.expiration) == ("text/plain", "theirs", "1500")
    assert (again.delivery_mode, again.user_id) == (2, None)
    assert received(written(found.envelope, None, found.kept), b"", redelivered=False, now=10.0) == found


def test_properties_cut_short_stop_no_queue() -> None:
    for attributes in ({}, {"content-type": "text/plain"}):
        whole = written(Envelope(Message("an-id", b"", attributes, 7.5)))
        for end in range(len(whole)):
            assert received(whole[:end], b"x", redelivered=False, now=9.0).envelope.message.body == b"x"


def test_a_message_without_an_id_gets_one_each_time() -> None:
    bare = b"".join(spec.BasicProperties().encode())
    first, second = (received(bare, b"x", redelivered=False, now=9.0).envelope.message for _ in range(2))
    assert first.id != second.id
    assert (first.sent_at, first.attributes) == (9.0, {})


@given(st.binary(max_size=60))
def test_no_properties_stop_a_queue(properties: bytes) -> None:
    assert received(properties, b"x", redelivered=False, now=9.0).envelope.message.body == b"x"


def test_deliveries_are_the_brokers_count() -> None:
    envelope = Envelope(Message("a", b"", {}, 1.0))
    pieces = spec.BasicProperties(headers={"x-delivery-count": 3, "millrace-sent-at": "1.0"}, message_id="a").encode()
    found = received(b"".join(pieces), b"", redelivered=True, now=9.0)
    assert (found.envelope, found.deliveries) == (envelope, 3)


# ---- deaths


def _dead(*events: dict[str, object], death: Death | None = None):
    pieces: list[bytes] = []
    data.encode_table(pieces, {"x-death": list(events)})
    headers = {"x-death": list(events)}
    found = received(
        b"".join(spec.BasicProperties(headers=headers, message_id="a").encode()), b"", redelivered=False, now=9.0
    )
    if death is not None:
        found.envelope = Envelope(found.envelope.message, death=death)
    return found


_AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("expired", "expired"), ("delivery_limit", "lost"), ("rejected", "dead"), ("maxlen", "dead")],
)
def test_the_brokers_reasons_are_told_in_our_words(reason: str, expected: str) -> None:
    found = _dead({"queue": "p.q", "reason": reason, "count": 1, "time": _AT})
    death = deaths.death_of(found, "q.dead", "p.")
    assert death is not None
    assert (death.reason, death.queue, death.last_failed_at) == (expected, "q", _AT.timestamp())
    assert found.envelope.message.attributes == {}


def test_a_delay_is_no_death() -> None:
    found = _dead({"queue": delays.queue_name("p.", 3, 1), "reason": "expired", "count": 1, "time": _AT})
    assert deaths.death_of(found, "q.dead", "p.") is None
    assert deaths.death_of(_dead({"queue": 5, "reason": "expired"}, {"reason": "odd"}), "q.dead", "") is None


def test_the_later_death_counts() -> None:
    first = Death("failed", Failure("E", "no"), "q", 3, 1.0, 2.0)
    found = _dead({"queue": "letters", "reason": "expired", "time": _AT}, death=first)
    died_again = deaths.death_of(found, "letters.dead", "")
    assert died_again is not None
    assert (died_again.reason, died_again.queue) == ("expired", "letters")
    assert deaths.death_of(found, "letters", "") == first


# ---- the shelf


def _shelf(*tags: int, **settings: object) -> tuple[Shelf, ManualClock]:
    clock = ManualClock()
    shelf = Shelf(Queue("q", lease_s=10.0, **settings), clock, epoch=7)
    properties = written(Envelope(Message("a", b"", {}, 1.0)))
    shelf.clear(1)
    shelf.add([Delivery(tag, properties, b"", False) for tag in tags], hold_s=10.0)
    return shelf, clock


@pytest.mark.parametrize("count", [3, 40])
def test_what_is_taken_comes_in_order_whatever_was_put_back(count: int) -> None:
    shelf, _ = _shelf(*range(1, 51))
    for _ in range(2):
        popped = shelf.pop(count)
        assert [item.tag for item in popped] == list(range(1, count + 1))
        assert {item.state for item in popped} == {"settling"}
        for item in (popped[2], popped[0], popped[1], *popped[3:]):
            shelf.unpop(item)
    assert [item.tag for item in shelf.pop(2)] == [1, 2]
    assert len(shelf.pop(count)) + len(shelf.pop(100)) == 48
    assert shelf.pop(count) == []


def _take(shelf: Shelf, clock: ManualClock, lease_s: float = 10.0):
    (item,) = shelf.pop(1)
    return shelf.lease(item, lease_s, clock.monotonic(), clock.now())


def test_a_lease_that_runs_out_is_ready_in_its_old_place_and_still_known() -> None:
    shelf, clock = _shelf(1, 2)
    first = _take(shelf, clock)
    clock.advance(10.5)
    assert shelf.sweep() == (True, True)  # tag 2 has been waiting for longer than a lease
    assert shelf.standing(first, clock.monotonic()) == "over"
    again = _take(shelf, clock)
    assert (again.attempt, again.receipt[2]) == (2, 1)
    assert shelf.find(first) is None
    assert shelf.standing(first, clock.monotonic()) == "lost"
    assert shelf.find(again) is not None


def test_a_release_is_uncounted() -> None:
    shelf, clock = _shelf(1)
    lease = _take(shelf, clock)
    item = shelf.find(lease)
    assert item is not None
    shelf.settling(item)
    assert shelf.find(lease) is None
    shelf.release(item)
    assert shelf.ready == 1
    clock.advance(RECALL_S + 0.1)
    assert shelf.sweep() == (False, True)
    assert _take(shelf, clock).attempt == 1


def test_a_generation_ends_all_leases() -> None:
    shelf, clock = _shelf(1)
    lease = _take(shelf, clock)
    shelf.clear(2)
    assert shelf.find(lease) is None
    assert shelf.standing(lease, clock.monotonic()) == "gone"
    assert (shelf.ready, shelf.held, shelf.next_at) == (0, 0, math.inf)


async def _with_an_expired_one(
    monkeypatch: pytest.MonkeyPatch, *, living: int, error: BaseException
) -> tuple[RabbitBroker, Shelf]:
    """A broker to which an expired message and then living ones were delivered, and whose publishing fails."""
    clock = ManualClock()
    broker = RabbitBroker(parse_address("amqp://127.0.0.1", {"amqp": 5672}, ["heartbeat"]), clock)
    broker._directory.settings["q"] = Queue("q")

    async def send(copies: object) -> None:
        raise error

    monkeypatch.setattr(broker._sender, "send", send)
    shelf = (await broker._tap("q")).shelf
    shelf.clear(1)
    ends = [clock.now() - 1.0, *[math.inf] * living]
    messages = [written(Envelope(Message(f"m{tag}", b"", {}, 1.0), expires_at=end)) for tag, end in enumerate(ends)]
    shelf.add([Delivery(tag, properties, b"", False) for tag, properties in enumerate(messages)], hold_s=10.0)
    return broker, shelf


async def test_a_letter_that_cannot_be_put_keeps_no_lease_from_its_taker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker, shelf = await _with_an_expired_one(monkeypatch, living=1, error=BrokerError("no answer"))
    (lease,) = await broker.take("q", 1)
    assert (lease.message.id, lease.attempt) == ("m1", 1)
    assert shelf.ready == 1, "the dead one waits for the next take"
    assert "1 messages of q that nobody may take any more stay for now: no answer" in caplog.text


async def test_a_take_that_has_only_letters_says_why_they_cannot_be_put(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, shelf = await _with_an_expired_one(monkeypatch, living=0, error=BrokerError("no answer"))
    monkeypatch.setattr(broker._taps["q"], "supply", _nothing_more)
    with pytest.raises(BrokerError, match="no answer"):
        await broker.take("q", 1)
    assert (shelf.ready, shelf.held) == (1, 0)


async def test_a_take_that_is_called_off_gives_back_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, shelf = await _with_an_expired_one(monkeypatch, living=1, error=asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await broker.take("q", 1)
    assert (shelf.ready, shelf.held) == (2, 0)
    assert [shelf.attempts(item) for item in shelf.in_order()] == [0, 0]


async def _nothing_more(count: int) -> None:
    """The queue has no further messages."""


@pytest.mark.parametrize("receipt", [(), (7, 1, 1), (7, 1, "1", 1), (8, 1, 1, 1), (7, 2, 1, 1), (7, 1, 1, 0), "x"])
def test_odd_receipts_are_nobodys(receipt: object) -> None:
    shelf, clock = _shelf(1)
    _take(shelf, clock)
    lease = lease_of("q", "WzFd")
    assert shelf.find(type(lease)("q", lease.message, receipt, 1, 0.0)) is None


# ---- frames


@given(st.binary(max_size=50), st.integers(20, 200))
def test_a_published_message_is_what_pika_reads(body: bytes, frame_max: int) -> None:
    properties = written(Envelope(Message("a", body, {}, 1.0)))
    stream = wire.publish(3, "ex", "key", properties, body, frame_max)
    found = []
    while stream:
        used, each = frame.decode_frame(stream)
        found.append(each)
        stream = stream[used:]
    assert (found[0].method.exchange, found[0].method.routing_key, found[0].method.mandatory) == ("ex", "key", True)
    assert (found[1].body_size, found[1].properties.message_id) == (len(body), "a")
    assert b"".join(each.fragment for each in found[2:]) == body
    assert {each.channel_number for each in found} == {3}


def test_orders_are_what_pika_reads() -> None:
    _, acked = frame.decode_frame(wire.ack(2, 2**40, multiple=True))
    assert (acked.method.delivery_tag, acked.method.multiple) == (2**40, True)
    _, back = frame.decode_frame(wire.requeue(2, 5))
    assert (back.method.NAME, back.method.delivery_tag, back.method.requeue) == ("Basic.Nack", 5, True)
    assert not back.method.multiple


@given(st.data())
def test_frames_are_found_however_they_are_cut(data: st.DataObject) -> None:
    stream = b"".join(wire.ack(1, tag, multiple=False) for tag in range(1, 6)) + wire.HEARTBEAT_FRAME
    rest, tags = b"", []
    while stream:
        size = data.draw(st.integers(1, 30))
        rest, stream = rest + stream[:size], stream[size:]
        end = 0
        for kind, _, start, end in wire.frames(rest):  # noqa: B007 - of the last one
            if kind == wire.METHOD:
                tags.append(wire.tag_of(rest, start, named=False)[0])
        rest = rest[end + 1 :] if end else rest
    assert (tags, rest) == ([1, 2, 3, 4, 5], b"")


def _delivered(channel: int, tag: int, body: bytes, frame_max: int = 100) -> bytes:
    method = spec.Basic.Deliver("millrace-1", tag, tag % 2 == 0, "", "q")
    properties = spec.BasicProperties(message_id=str(tag))
    pieces = [frame.Method(channel, method).marshal(), frame.Header(channel, len(body), properties).marshal()]
    parts = [body[start : start + frame_max] for start in range(0, len(body), frame_max)]
    return b"".join([*pieces, *(frame.Body(channel, part).marshal() for part in parts)])


def _receiving(*numbers: int) -> tuple[Connection, dict[int, list[Delivery]]]:
    connection, came = Connection(), {number: list[Delivery]() for number in numbers}
    for number in numbers:
        channel = connection._channels[number] = Channel(connection, number)
        channel.on_deliveries = came[number].extend
    return connection, came


_BODIES = (b"x", b"", b"y" * 250, b"z" * 99, b"\xce" * 100, b"1" * 7, b"2" * 8, b"")  # of one frame, of none, of three


@given(st.data())
def test_messages_are_found_however_they_are_cut_and_whatever_comes_between(data: st.DataObject) -> None:
    stream = b""
    for tag, body in enumerate(_BODIES, 1):
        stream += _delivered(1, tag, body) + wire.HEARTBEAT_FRAME * (tag % 3 == 0) + _delivered(2, tag, body[::2])
    connection, came = _receiving(1, 2)
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        connection.data_received(stream[:size])
        stream = stream[size:]
    for step, number in enumerate((1, 2), 1):
        assert [(each.tag, each.body) for each in came[number]] == [
            (tag, body[::step]) for tag, body in enumerate(_BODIES, 1)
        ]
        assert [each.redelivered for each in came[number]] == [False, True] * (len(_BODIES) // 2)
        for each in came[number]:
            properties = spec.BasicProperties()
            properties.decode(each.properties)
            assert properties.message_id == str(each.tag)


def test_whole_messages_are_taken_at_once_and_the_rest_is_left() -> None:
    stream = _delivered(1, 1, b"a") + _delivered(1, 2, b"b")
    other, odd = _delivered(2, 1, b"c"), _delivered(1, 3, b"")
    for left in (b"", other, odd, wire.ack(1, 1, multiple=False), _delivered(1, 3, b"c" * 101)):
        found, end = wire.deliveries(stream + left, 1, 0)
        assert ([each.tag for each in found], end) == ([1, 2], len(stream))
    for end in range(1, len(stream)):
        found, left_at = wire.deliveries(stream[:end], 1, 0)
        assert left_at == (len(stream) // 2 if found else 0)
        assert len(found) == end // (len(stream) // 2)


def test_a_message_without_its_end_mark_is_no_amqp() -> None:
    whole = _delivered(1, 1, b"body")
    ends = [place for place, letter in enumerate(whole) if letter == 0xCE]
    assert len(ends) == 3
    for end in ends:
        connection, came = _receiving(1)
        connection.data_received(whole[:end] + b"\0" + whole[end + 1 :])
        assert "no AMQP" in str(connection.lost)
        assert came == {1: []}


@pytest.mark.parametrize(
    ("code", "text", "kind", "said"),
    [
        (403, "ACCESS_REFUSED - Login was refused", BrokerDenied, "own machine alone"),
        (530, "NOT_ALLOWED - vhost pets not found", BrokerDenied, "rabbitmqctl add_vhost pets"),
        (530, "NOT_ALLOWED - access to vhost 'pets' refused for user: vhost 'pets' is down", BrokerError, "cannot be"),
        (320, "CONNECTION_FORCED - broker forced connection closure", BrokerError, "cannot be reached"),
    ],
)
def test_who_is_never_let_in_and_who_may_come_later(code: int, text: str, kind: type[Exception], said: str) -> None:
    error = refused(parse_address("amqp://guest:secret@host/pets", {"amqp": 5672}), Closed(code, text))
    assert type(error) is kind
    assert said in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("error", "denied"),
    [
        (Closed(403, "ACCESS_REFUSED - Login was refused"), True),
        (Closed(530, "NOT_ALLOWED - vhost pets not found"), True),
        (Closed(530, "NOT_ALLOWED - vhost 'pets' is down"), False),
        (Closed(320, "CONNECTION_FORCED"), False),
        (Lost("the connection was cut"), False),
        (ConnectionRefusedError(), False),
    ],
)
def test_who_is_denied_asks_less_often(error: Exception, denied: bool) -> None:
    assert is_denied(error) is denied


def test_a_lost_channel_names_the_setting_that_took_it() -> None:
    late = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1000 ms"
    assert "raise it in rabbitmq.conf" in advice(Closed(406, late))
    assert advice(Closed(406, "PRECONDITION_FAILED - unknown delivery tag 5")) == ""
    assert advice(Lost("the connection was cut")) == ""


def test_what_is_no_amqp_is_refused() -> None:
    for odd in (b"HTTP/1.1 400 Bad Request\r\n", b"AMQP\0\0\x09\1", b"\1\0\0\xff\0\0\0\0"):
        with pytest.raises(ValueError, match="no frame"):
            list(wire.frames(odd))
    with pytest.raises(ValueError, match="end mark"):
        list(wire.frames(b"\x08\0\0\0\0\0\0\0\0"))


# ---- opening


@pytest.mark.parametrize("heartbeat", ["0", "-1", "x", "4000", ""])
async def test_odd_heartbeats_are_refused(heartbeat: str) -> None:
    with pytest.raises(BrokerError, match="heartbeat"):
        await open_broker(f"amqp://host?heartbeat={heartbeat}")


async def test_nobody_there_is_said(unused_tcp_port: int) -> None:
    with pytest.raises(BrokerError, match="cannot be reached") as caught:
        await open_broker(f"amqp://me:secret@127.0.0.1:{unused_tcp_port}")
    assert "secret" not in str(caught.value)
    assert "5672" in caught.value.hint


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("millrace.brokers.rabbitmq.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pika", None)
    with pytest.raises(BrokerError, match="pika is missing") as caught:
        await open_broker("amqp://host")
    assert "millrace[rabbitmq]" in caught.value.hint
