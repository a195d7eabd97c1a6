"""What the bodies of a queue look like to others."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.broker import Queue, dead_letters
from millrace.brokers.codecs import CloudEvents, Codec, CodecBroker, Json, MessagePack, Protobuf
from millrace.brokers.memory import MemoryBroker
from millrace.errors import ConfigError, Unencodable
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Commit, Message, Put

PROTO = """
syntax = "proto3";
package seed;
message AIMessage { string url = 1; bytes imgbuffer = 2; int64 number = 3; bool urgent = 4; repeated string tags = 5; }
message Note { string text = 1; Kind kind = 2; }
enum Kind { PLAIN = 0; LOUD = 1; }
"""
_JSON = {"content-type": "application/json"}


@pytest.fixture(scope="session")
def proto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("proto") / "ai.proto"
    path.write_text(PROTO)
    return path


def there_and_back(codec: Codec, message: Message) -> Message:
    return codec.decode(codec.encode(message))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("make", [Json, MessagePack, lambda: CloudEvents("structured"), lambda: CloudEvents("binary")])
@given(value=values)
def test_json_stays_the_same_value(make: Callable[[], Codec], value: object) -> None:
    found = there_and_back(make(), Message("a", json.dumps(value).encode(), _JSON, 3.5))
    assert (found.json(), found.content_type, found.id, found.sent_at) == (value, "application/json", "a", 3.5)


@pytest.mark.parametrize("make", [MessagePack, lambda: CloudEvents("structured"), lambda: CloudEvents("binary")])
@given(body=st.binary(max_size=50))
def test_bytes_stay_the_same_bytes(make: Callable[[], Codec], body: bytes) -> None:
    found = there_and_back(make(), Message("a", body, {"content-type": "application/octet-stream", "x": "1"}))
    assert (found.body, found.content_type, found.attributes["x"]) == (body, "application/octet-stream", "1")


@pytest.mark.parametrize("make", [MessagePack, lambda: CloudEvents("structured"), lambda: CloudEvents("binary")])
@pytest.mark.parametrize("body", [b"", b"\xff"])
def test_bytes_and_none_of_them(make: Callable[[], Codec], body: bytes) -> None:
    found = there_and_back(make(), Message("a", body, {"content-type": "application/octet-stream"}))
    assert (found.body, found.content_type) == (body, "application/octet-stream")


@pytest.mark.parametrize("make", [Json, MessagePack, lambda: CloudEvents("structured"), lambda: CloudEvents("binary")])
def test_json_of_a_function_comes_back(make: Callable[[], Codec]) -> None:
    found = there_and_back(make(), Message("a", b'{"n":[1,null]}', _JSON))
    assert (found.json(), found.content_type) == ({"n": [1, None]}, "application/json")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":1e999}'])
def test_json_is_json(body: bytes) -> None:
    with pytest.raises(ValueError, match="expected JSON"):
        Json().decode(Message("a", body))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91", b"\x81\xa1", b"\x91" * 100_000])
def test_messagepack_is_messagepack(body: bytes) -> None:
    with pytest.raises(ValueError, match="expected MessagePack"):
        MessagePack().decode(Message("a", body))


def test_messagepack_of_others_is_json_for_functions() -> None:
    found = MessagePack().decode(Message("a", msgspec.msgpack.encode({"n": 1, "raw": b"\0"})))
    assert (found.json(), found.content_type) == ({"n": 1, "raw": "AA=="}, "application/json")


def test_messagepack_says_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="its content-type says JSON"):
        MessagePack().encode(Message("a", b"{", _JSON))


# The examples of the specification: a JSON event with extensions, one with data_base64, and a binary one.
_EVENT = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "source": "/mycontext",
    "id": "C234-1234-1234",
    "time": "2018-04-05T17:31:00Z",
    "comexampleextension1": "value",
    "comexampleothervalue": 5,
    "datacontenttype": "application/json",
    "data": {"appinfoA": "abc", "appinfoB": 123},
}


def test_a_structured_event_is_opened() -> None:
    found = CloudEvents("structured").decode(Message("m", json.dumps(_EVENT).encode()))
    assert found.id == "m"
    assert found.json() == _EVENT["data"]
    assert found.attributes == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-type": "com.example.someevent",
        "ce-source": "/mycontext",
        "ce-id": "C234-1234-1234",
        "ce-time": "2018-04-05T17:31:00Z",
        "ce-comexampleextension1": "value",
        "ce-comexampleothervalue": "5",
    }


@pytest.mark.parametrize(
    ("member", "body", "kind"),
    [
        ({"data_base64": "AP8="}, b"\0\xff", "application/octet-stream"),
        ({"data": "<a/>", "datacontenttype": "application/xml"}, b"<a/>", "application/xml"),
        ({"data": "text"}, b'"text"', "application/json"),
        ({}, b"", "application/octet-stream"),
    ],
)
def test_data_of_any_kind(member: dict[str, str], body: bytes, kind: str) -> None:
    event = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", **member}
    found = CloudEvents("structured").decode(Message("m", json.dumps(event).encode()))
    assert (found.body, found.content_type) == (body, kind)


@pytest.mark.parametrize("prefix", ["ce-", "ce_", "cloudEvents:", "cloudEvents_"])
def test_a_binary_event_of_every_binding(prefix: str) -> None:
    context = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1"}
    message = Message(
        "m", b"x", {"content-type": "text/plain", **{prefix + name: text for name, text in context.items()}}
    )
    found = CloudEvents("binary").decode(message)
    assert found.attributes == {"content-type": "text/plain", **{f"ce-{name}": text for name, text in context.items()}}
    sent = CloudEvents("binary", prefix=prefix).encode(Message("1", b"x", {"ce-type": "t", "ce-source": "/s"}))
    assert {prefix + name: text for name, text in context.items()}.items() <= sent.attributes.items()


def test_what_is_said_of_a_message_without_attributes() -> None:
    sent = CloudEvents("structured", source="/pets", type="pet.seen").encode(
        Message("a", b"hi", {"content-type": "text/plain"}, 0.5)
    )
    assert json.loads(sent.body) == {
        "specversion": "1.0",
        "id": "a",
        "source": "/pets",
        "type": "pet.seen",
        "time": "1970-01-01T00:00:00.500000Z",
        "datacontenttype": "text/plain",
        "data": "hi",
    }
    assert sent.content_type == "application/cloudevents+json"


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3", "urgent": True},
        {"source": ""},
        {"id": None},
        {"type": {}},
        {"data_base64": "?"},
        {"extension": 1.5},
        {"data_base64": 5},
        {"data_base64": {}},
    ],
)
def test_an_event_that_is_none(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected a CloudEvent"):
        CloudEvents("structured").decode(Message("m", json.dumps({**_EVENT, **change}).encode()))


def test_an_attribute_that_is_null_is_not_there() -> None:
    found = CloudEvents("structured").decode(Message("m", json.dumps({**_EVENT, "subject": None}).encode()))
    assert "ce-subject" not in found.attributes


@pytest.mark.parametrize("codec", [Json(), MessagePack(), CloudEvents("structured"), CloudEvents("binary")])
@given(body=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_read_or_refused(codec: Codec, body: bytes) -> None:
    for read in (codec.decode, codec.encode):
        with contextlib.suppress(ValueError):
            read(Message("a", body, _JSON))


@given(members=st.fixed_dictionaries({}, optional=dict.fromkeys((*_EVENT, "data_base64", "subject"), values)))
def test_whatever_event_comes_is_read_or_refused(members: dict[str, object]) -> None:
    with contextlib.suppress(ValueError):
        CloudEvents("structured").decode(Message("a", json.dumps({**_EVENT, **members}).encode()))


def test_an_integer_that_messagepack_has_no_form_for() -> None:
    with pytest.raises(ValueError, match="its content-type says JSON, got b'123456789"):
        MessagePack().encode(Message("a", b"123456789012345678901234567890", _JSON))


def test_a_binary_event_needs_its_attributes() -> None:
    with pytest.raises(ValueError, match="needs id, source, type, specversion"):
        CloudEvents("binary").decode(Message("m", b"x"))


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_data_that_is_not_what_it_says(kind: str) -> None:
    with pytest.raises(ValueError, match="its content-type says"):
        CloudEvents("structured").encode(Message("m", b"\xff", {"content-type": kind}))


def test_the_seeds_message(proto: Path) -> None:
    codec = Protobuf(proto, "seed.AIMessage", "imgbuffer")
    sent = codec.encode(
        Message("a", b"\0\xff", {"url": "/dg?filename=abc", "number": "7", "urgent": "true", "other": "o"})
    )
    assert sent.body == b"\n\x10/dg?filename=abc\x12\x02\x00\xff\x18\x07 \x01"
    found = codec.decode(Message("b", sent.body, {"other": "o"}))
    assert found.body == b"\0\xff"
    assert found.attributes == {
        "url": "/dg?filename=abc",
        "number": "7",
        "urgent": "true",
        "other": "o",
        "content-type": "application/octet-stream",
    }


def test_a_whole_protobuf_message_is_json(proto: Path) -> None:
    codec = Protobuf(proto, "seed.Note")
    sent = codec.encode(Message("a", b'{"text":"hi","kind":"LOUD"}'))
    assert sent.body == b"\n\x02hi\x10\x01"
    assert codec.decode(sent).json() == {"text": "hi", "kind": "LOUD"}
    text = Protobuf(proto, "seed.Note", "text")
    assert text.decode(sent).body == b"hi"
    assert there_and_back(text, Message("a", b"hi", {"kind": "LOUD"})).attributes["kind"] == "LOUD"


def test_a_text_that_reads_as_a_boolean_is_a_text(proto: Path) -> None:
    codec = Protobuf(proto, "seed.AIMessage", "imgbuffer")
    sent = codec.encode(Message("a", b"", {"url": "true", "urgent": "false"}))
    assert codec.decode(sent).attributes["url"] == "true"


def test_what_is_no_protobuf(proto: Path) -> None:
    codec = Protobuf(proto, "seed.AIMessage", "imgbuffer")
    with pytest.raises(ValueError, match=r"expected a seed.AIMessage"):
        codec.decode(Message("a", b"\xff\xff"))
    with pytest.raises(ValueError, match=r"expected what seed.AIMessage can hold"):
        codec.encode(Message("a", b"", {"number": "many"}))
    with pytest.raises(ValueError, match=r"expected what seed.Note can hold"):
        Protobuf(proto, "seed.Note").encode(Message("a", b'{"unknown":1}'))
    with pytest.raises(ValueError, match=r"expected what seed.Note can hold"):
        Protobuf(proto, "seed.Note", "text").encode(Message("a", b"\xff"))


_LATE = b"\n\x0a\x08" + b"\xff" * 8 + b"\x7f"  # field 1, a Timestamp of 2**63 - 1 seconds
_UNKNOWN = b"\x12\x05\n\x03x/Y"  # field 2, an Any of a type that is in no file


@pytest.mark.parametrize("body", [_LATE, _UNKNOWN])
@pytest.mark.parametrize("field", [None, "note"])
def test_what_protobuf_holds_and_json_does_not(tmp_path: Path, body: bytes, field: str | None) -> None:
    path = tmp_path / "when.proto"
    path.write_text(
        'syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/any.proto";'
        "message When { google.protobuf.Timestamp at = 1; google.protobuf.Any more = 2; string note = 3; }"
    )
    with pytest.raises(ValueError, match="expected a When"):
        Protobuf(path, "When", field).decode(Message("a", body))


def test_a_descriptor_set_without_its_imports(tmp_path: Path) -> None:
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(name="a.proto", dependency=["google/protobuf/timestamp.proto"])
    path = tmp_path / "a.desc"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    with pytest.raises(ConfigError, match="--include_imports"):
        Protobuf(path, "A")


def test_faults_of_a_proto_file(proto: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.proto"
    broken.write_text("message {")
    odd = tmp_path / "odd.desc"
    odd.write_bytes(b"\xff\xff")
    for path, type, body, text in [
        (tmp_path / "nothing.proto", "A", None, "no such file"),
        (broken, "A", None, "does not compile"),
        (odd, "A", None, "expected a .proto file"),
        (proto, "seed.AIMesage", None, "no message type seed.AIMesage"),
        (proto, "seed.AIMessage", "number", "no single field number"),
        (proto, "seed.AIMessage", "tags", "no single field tags"),
    ]:
        with pytest.raises(ConfigError, match=text):
            Protobuf(path, type, body)


def test_without_the_extra_it_says_how_to_get_it(proto: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(ConfigError, match=r"pip install 'millrace\[protobuf\]'"):
        Protobuf(proto, "seed.Note")


async def opened(codec: Codec) -> tuple[CodecBroker, MemoryBroker]:
    inner = MemoryBroker(ManualClock())
    broker = CodecBroker(inner, {"q": codec})
    await broker.declare([Queue("q"), Queue("plain")])
    return broker, inner


async def test_others_see_the_codec_and_functions_do_not() -> None:
    broker, inner = await opened(MessagePack())
    await broker.put([Put("q", Message("a", b'{"n":1}', _JSON)), Put("plain", Message("b", b"{"))])
    (seen,) = await inner.peek("q")
    assert seen.message.body == msgspec.msgpack.encode({"n": 1})
    assert (await broker.peek("q"))[0].message.json() == {"n": 1}
    (lease,) = await broker.take("q", 10)
    assert lease.message.json() == {"n": 1}
    (extended,) = await broker.extend([lease], 50.0)
    assert extended.message.json() == {"n": 1}
    assert await broker.settle(Commit("q", [outcome(extended)])) == []


async def test_what_cannot_be_read_is_a_dead_letter_as_it_came() -> None:
    broker, inner = await opened(Json())
    await inner.put([Put("q", Message("bad", b"{")), Put("q", Message("good", b"{}"))])
    assert [lease.message.id for lease in await broker.take("q", 1)] == ["good"]
    (letter,) = await broker.peek(dead_letters("q"))
    assert letter.message.body == b"{"
    assert letter.death is not None
    assert letter.death.failure.type == "Undecodable"
    assert "queue q holds json: expected JSON" in letter.death.failure.message


async def test_what_cannot_be_written_is_refused_at_the_put() -> None:
    broker, _ = await opened(Json())
    with pytest.raises(Unencodable, match="queue q holds json: expected JSON"):
        await broker.put([Put("q", Message("a", b"{"))])
    assert (await broker.stats("q")).depth == 0


async def test_an_output_that_cannot_be_written_ends_its_input() -> None:
    broker, _ = await opened(Json())
    await broker.put([Put("plain", Message("a", b"x")), Put("plain", Message("b", b"x"))])
    first, second = await broker.take("plain", 2)
    outcomes = [
        outcome(first, puts=(Put("q", Message("a.out", b"{")),)),
        outcome(second, puts=(Put("q", Message("b.out", b"{}")),)),
    ]
    assert await broker.settle(Commit("plain", outcomes)) == []
    assert [lease.message.id for lease in await broker.take("q", 10)] == ["b.out"]
    (letter,) = await broker.peek(dead_letters("plain"))
    assert (letter.message.id, letter.death and letter.death.failure.type) == ("a", "Unencodable")
