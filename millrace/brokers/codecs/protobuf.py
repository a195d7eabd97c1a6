"""Bodies that are messages of one Protocol Buffers type, from a `.proto` file or a compiled descriptor set.

Functions see the message as JSON (proto3's JSON mapping, fields by their names in the file), or, where one field is
named as the body, that field as bytes or text and the other fields as attributes. The type is read from a description,
never by importing generated code: that would be running a file of the project in the parent.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from millrace.brokers.codecs.codec import CONTENT_TYPE, UNFIT, Codec, carrying
from millrace.errors import ConfigError
from millrace.types import JSON, Message

if TYPE_CHECKING:
    from google.protobuf.message import Message as ProtoMessage

PROTOBUF = "application/protobuf"
_BYTES = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"
_INSTALL = "pip install 'millrace[protobuf]'"
_COMPILE_S = 60.0


class Protobuf(Codec):
    """One type of one file; `body` names the field that is the body, None where the whole message is.

    Raises ConfigError for a file that is not there or does not compile, and for a type or field that is not in it.
    """

    name = "protobuf"

    def __init__(self, path: Path, type: str, body: str | None = None) -> None:
        try:
            from google.protobuf import json_format, message, message_factory
        except ModuleNotFoundError as error:
            raise ConfigError(f"{path.name}: protobuf is not installed", _INSTALL) from error
        self._json = json_format
        # Its own errors are no ValueErrors: for a time beyond the year 9999, an Any whose type is not in the file.
        self._refusal = (message.Error, json_format.Error, *UNFIT)
        self._type = type
        descriptor = _descriptor(path, type)
        self._message_class = message_factory.GetMessageClass(descriptor)
        scalars = [field for field in descriptor.fields if field.name != body and _is_scalar(field)]
        self._scalars = [field.name for field in scalars]
        self._switches = {field.name for field in scalars if field.type == field.TYPE_BOOL}
        self._body = body
        if body is not None:
            field = descriptor.fields_by_name.get(body)
            if field is None or field.type not in (field.TYPE_BYTES, field.TYPE_STRING) or field.is_repeated:
                known = ", ".join(each.name for each in descriptor.fields)
                raise ConfigError(
                    f"{path.name}: {type} has no single field {body} of type bytes or string",
                    f"its fields are: {known}",
                )
            self._is_text = field.type == field.TYPE_STRING

    def encode(self, message: Message) -> Message:
        built = self._message_class()
        try:
            if self._body is None:
                self._json.Parse(message.body, built)
            else:
                self._fill(built, message)
        except self._refusal as error:
            raise ValueError(f"expected what {self._type} can hold: {error}") from error
        return carrying(message, built.SerializeToString(), PROTOBUF)

    def decode(self, message: Message) -> Message:
        read = self._message_class()
        try:
            read.ParseFromString(message.body)
            if self._body is not None:
                return self._opened(message, read)
            text = self._json.MessageToJson(read, preserving_proto_field_name=True, indent=None)
        except self._refusal as error:
            raise ValueError(f"expected a {self._type}, got {message.body[:40]!r}: {error}") from error
        return carrying(message, text.encode(), JSON)

    def _fill(self, built: ProtoMessage, message: Message) -> None:
        assert self._body is not None
        attributes, switches = message.attributes, self._switches
        known = {
            name: _literal(attributes[name]) if name in switches else attributes[name]
            for name in self._scalars
            if name in attributes
        }
        if known:  # the JSON mapping reads numbers from text too, so an attribute needs no type
            self._json.ParseDict(known, built)
        setattr(built, self._body, message.body.decode() if self._is_text else message.body)

    def _opened(self, message: Message, read: ProtoMessage) -> Message:
        assert self._body is not None
        value = getattr(read, self._body)
        body: bytes = value.encode() if self._is_text else value
        fields = self._json.MessageToDict(read, preserving_proto_field_name=True)
        beside = {name: _shown(fields[name]) for name in self._scalars if name in fields}
        kept = {name: text for name, text in message.attributes.items() if name != CONTENT_TYPE}
        described = {**kept, **beside, CONTENT_TYPE: _TEXT if self._is_text else _BYTES}
        return msgspec.structs.replace(message, body=body, attributes=described)


def _is_scalar(field: Any) -> bool:
    return field.type != field.TYPE_MESSAGE and not field.is_repeated


def _literal(value: str) -> Any:
    return {"true": True, "false": False}.get(value, value)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _descriptor(path: Path, type: str) -> Any:
    """The description of a type. Raises ConfigError."""
    from google.protobuf import descriptor_pb2, descriptor_pool
    from google.protobuf.message import Error

    try:
        data = _compiled(path) if path.suffix == ".proto" else path.read_bytes()
        files = descriptor_pb2.FileDescriptorSet.FromString(data)
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
    except (OSError, Error, TypeError) as error:
        raise ConfigError(
            f"{path}: {error}", "expected a .proto file, or what protoc --include_imports --descriptor_set_out wrote"
        ) from error
    try:
        return pool.FindMessageTypeByName(type)
    except KeyError as error:
        known = sorted(f"{file.package}.{each.name}".lstrip(".") for file in files.file for each in file.message_type)
        raise ConfigError(f"{path.name}: no message type {type}", f"it has: {', '.join(known) or 'none'}") from error


def _compiled(path: Path) -> bytes:
    """The descriptor set of a .proto file and of what it imports, by the compiler in a process of its own."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file", "`protobuf:` names a .proto file beside the project file")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "set"
        arguments = [f"--proto_path={path.parent}", "--include_imports", f"--descriptor_set_out={target}", path.name]
        done = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *arguments], capture_output=True, text=True, timeout=_COMPILE_S
        )
        if done.returncode:
            raise ConfigError(f"{path.name} does not compile: {done.stderr.strip()}", _missing(done.stderr))
        return target.read_bytes()


def _missing(text: str) -> str:
    return _INSTALL if "No module named" in text else "mend the .proto file"
