"""The codec of a queue: the format in which its bodies travel, for producers and consumers in other languages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from millrace.config.section import Section

Format = Literal["json", "msgpack", "cloudevents", "protobuf"]
_KEYS = {
    "json": frozenset[str](),
    "msgpack": frozenset[str](),
    "cloudevents": frozenset({"mode", "source", "type", "prefix"}),
    "protobuf": frozenset({"file", "type", "body"}),
}


class CodecConfig(Section):
    """A format of bodies; a name alone is the format with its defaults."""

    format: Format = Field(description="`json`, `msgpack`, `cloudevents` or `protobuf`.")
    mode: Literal["structured", "binary"] = Field(
        "structured", description="cloudevents: the whole event in the body, or its attributes beside the data."
    )
    source: str = Field("/millrace", description="cloudevents: the source of events that bring no `ce-source`.")
    type: str | None = Field(
        None, description="protobuf: the message type, with its package. cloudevents: for events without `ce-type`."
    )
    prefix: str = Field("ce-", description="cloudevents, binary: what the names of written attributes begin with.")
    file: str | None = Field(None, description="protobuf: a .proto file or a compiled descriptor set.")
    body: str | None = Field(
        None,
        description="protobuf: the field that is the body; its other fields are attributes. Without it all is JSON.",
    )

    @model_validator(mode="after")
    def _keys_of_its_format(self) -> CodecConfig:
        allowed = _KEYS[self.format]
        if odd := sorted(self.model_fields_set - {"format"} - allowed):
            raise ValueError(f"{odd[0]} is no key of {self.format}; it has {', '.join(sorted(allowed)) or 'none'}")
        if self.format == "protobuf" and not (self.file and self.type):
            raise ValueError("protobuf needs `file` (a .proto file) and `type` (the message's name)")
        return self


def _named(value: Any) -> Any:
    return {"format": value} if isinstance(value, str) else value


CodecSetting = Annotated[
    CodecConfig,
    BeforeValidator(_named),
    WithJsonSchema({"anyOf": [{"enum": list(_KEYS)}, {"type": "object", "required": ["format"]}]}),
]
