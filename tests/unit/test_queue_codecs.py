"""The codec of a queue in the project file, and in front of the broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.app import open_backend
from millrace.app.codecs import codecs_of
from millrace.brokers.codecs import CloudEvents, Json, MessagePack, Protobuf
from millrace.config.load import load
from millrace.errors import ConfigError
from millrace.types import Message, Put

_PROTO = 'syntax = "proto3"; message AIMessage { string url = 1; bytes imgbuffer = 2; }'


def project(folder: Path, codec: str) -> Path:
    (folder / "ai.proto").write_text(_PROTO)
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    (folder / "millrace.yml").write_text(
        f"service: s\nqueues:\n  q:\n    codec: {codec}\n"
        "functions:\n  f:\n    handler: app.handler\n    events: [{queue: q}]\n"
    )
    return folder


@pytest.mark.parametrize(
    ("codec", "kind"),
    [
        ("json", Json),
        ("msgpack", MessagePack),
        ("cloudevents", CloudEvents),
        ("{format: cloudevents, mode: binary, source: /pets, type: seen, prefix: cloudEvents_}", CloudEvents),
        ("{format: protobuf, file: ai.proto, type: AIMessage, body: imgbuffer}", Protobuf),
    ],
)
def test_each_format_has_its_codec(tmp_path: Path, codec: str, kind: type) -> None:
    found = load(project(tmp_path, codec))
    setting = found.queues["q"].codec
    assert setting is not None
    assert isinstance(codecs_of(found, {"q": setting})["q"], kind)


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("yaml", "yaml"),
        ("{format: json, file: ai.proto}", "file is no key of json; it has none"),
        ("{format: msgpack, mode: binary}", "mode is no key of msgpack"),
        ("{format: protobuf, file: ai.proto}", "protobuf needs `file`"),
    ],
)
def test_a_setting_that_is_none_is_a_fault_with_its_line(tmp_path: Path, codec: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"millrace\.yml:4:") as caught:
        load(project(tmp_path, codec))
    assert text in str(caught.value)


async def test_a_protobuf_file_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    codec = "{format: protobuf, file: al.proto, type: AIMessage}"
    with pytest.raises(ConfigError, match=r"al\.proto: no such file"):
        await open_backend(load(project(tmp_path, codec)))


async def test_the_seeds_message_reaches_a_function_as_an_image(tmp_path: Path) -> None:
    codec = "{format: protobuf, file: ai.proto, type: AIMessage, body: imgbuffer}"
    backend = await open_backend(load(project(tmp_path, codec)))
    try:
        await backend.broker.put([Put("q", Message("a", b"\x89PNG", {"url": "/dg?filename=abc"}))])
        (lease,) = await backend.broker.take("q", 1)
        assert (lease.message.body, lease.message.attributes["url"]) == (b"\x89PNG", "/dg?filename=abc")
    finally:
        await backend.close()
