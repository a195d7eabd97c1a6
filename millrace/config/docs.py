"""The reference page of millrace.yml, made from the schema: every section, key, type, default and sentence."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from millrace.config.aws import AsyncConfig, AwsConfig, Destination, TopicConfig, TopicQueue
from millrace.config.codec import CodecConfig
from millrace.config.events import EVENTS, BatchConfig, Cors, HttpRoute
from millrace.config.schema import (
    BucketConfig,
    FunctionConfig,
    GatewayConfig,
    Project,
    QueueConfig,
    RetryConfig,
    Sink,
    TableConfig,
)
from millrace.config.section import Section
from millrace.config.templates import KEY_FIELDS
from millrace.config.units import format_bytes, format_seconds, seconds, size

_OPENING = """\
# millrace.yml

<!-- Made by `make reference` from millrace/config/schema.py: change it there. -->

One file describes a project. `millrace check` tells every fault in it with file:line:column, and `millrace schema`
prints its JSON Schema, with which editors complete and check it.

A **duration** is written `20ms`, `30s`, `10m`, `24h` or `7d`, or as a number of seconds. A **size** is written `16MB`,
`1GiB` or as a number of bytes. A key without a value is as if left out.

`${env:NAME}` is replaced by an environment variable, `${env:NAME, default}` by the default where it is not set; `$${`
stands for `${` itself. Tokens and passwords belong there and not in the file.
"""

_CLOSING = """\
## Stages and overrides

`stages` holds overlays: `--stage prod` lays `stages.prod` upon the rest of the file, mappings key by key, lists and
plain values as a whole. `--set functions.classify.replicas=4` then sets single values; a number in the path counts list
items from 0. Values are read as YAML.
"""

_SECTIONS: tuple[tuple[str, type[Section], str], ...] = (
    ("Top level", Project, ""),
    ("queues.&lt;name&gt;", QueueConfig, ""),
    ("tables.&lt;name&gt;", TableConfig, ""),
    ("buckets.&lt;name&gt;", BucketConfig, ""),
    ("topics.&lt;name&gt;", TopicConfig, ""),
    ("functions.&lt;name&gt;", FunctionConfig, ""),
)
_PARTS: tuple[tuple[str, type[Section], str], ...] = (
    ("queues.&lt;name&gt;.codec", CodecConfig, ""),
    ("functions.&lt;name&gt;.batch", BatchConfig, ""),
    ("functions.&lt;name&gt;.retry", RetryConfig, ""),
    ("functions.&lt;name&gt;.to", Sink, "A list. "),
    ("functions.&lt;name&gt;.asynchronous", AsyncConfig, ""),
    ("Destinations", Destination, "`on_success`, `on_failure` and `dead_letter` have the keys below. "),
    ("CORS", Cors, "`cors` of an http event. "),
    ("topics.&lt;name&gt;.queues", TopicQueue, "A list. "),
    ("gateway", GatewayConfig, ""),
    ("aws", AwsConfig, ""),
)


def config_page() -> str:
    """The page as Markdown."""
    parts = [_OPENING]
    parts += [_section(title, section, note) for title, section, note in _SECTIONS]
    parts.append(
        "## functions.&lt;name&gt;.events\n\nA list. The key that an item has says what kind of event it is.\n"
    )
    parts += [_event(key, kind) for key, kind in EVENTS.items()]
    parts += [_section(title, section, note) for title, section, note in _PARTS]
    parts.append(_key_fields())
    return "\n".join([*parts, _CLOSING])


def undescribed() -> list[str]:
    """Fields without a sentence; there must be none."""
    sections = [section for _, section, _ in (*_SECTIONS, *_PARTS)] + [*EVENTS.values(), HttpRoute]
    return [f"{each.__name__}.{name}" for each in sections for name, field in _fields(each) if not field.description]


def _section(title: str, section: type[Section], note: str) -> str:
    return f"## {title}\n\n{note}{_sentence(section)}\n\n{_table(section)}"


def _event(key: str, kind: type[Section]) -> str:
    text = f"### {key}\n\n{_sentence(kind)}\n\n{_table(kind)}"
    return text + (f"\nThe mapping has\n\n{_table(HttpRoute)}" if key == "http" else "")


def _sentence(section: type[Section]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _fields(section: type[Section]) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, field) for name, field in section.model_fields.items() if name != "root")


def _table(section: type[Section]) -> str:
    rows = ["| key | type | default | |", "|---|---|---|---|"]
    for name, field in _fields(section):
        rows.append(f"| `{name}` | {_type(field)} | {_default(field)} | {_escape(field.description or '')} |")
    return "\n".join(rows) + "\n"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _type(field: FieldInfo) -> str:
    return _type_name(field.annotation, field.metadata)


def _type_name(kind: Any, metadata: Any = ()) -> str:
    unit = _unit(metadata)
    if unit:
        return unit
    origin, arguments = get_origin(kind), [each for each in get_args(kind) if each is not NoneType]
    if hasattr(kind, "__metadata__"):
        return _type_name(arguments[0], kind.__metadata__)
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin in {Union, UnionType}:
        return _type_name(arguments[0]) if len(arguments) == 1 else "event"
    if origin is dict:
        return f"mapping of {_plural(_type_name(arguments[1]))}"
    if origin is list:
        return f"list of {_plural(_type_name(arguments[0]))}"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}
    return names.get(kind) or ("mapping" if isinstance(kind, type) else str(kind))


def _unit(metadata: Any) -> str:
    for each in metadata:
        function = getattr(each, "func", None)
        if function in {seconds, size}:
            return "duration" if function is seconds else "size"
    return ""


def _plural(name: str) -> str:
    return {"mapping": "mappings", "event": "events"}.get(name, name)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", [], {}) or isinstance(value, Section):
        return ""
    unit = _type(field)
    if unit == "duration":
        return f"`{format_seconds(value)}`"
    if unit == "size":
        return f"`{format_bytes(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _key_fields() -> str:
    rows = "\n".join(f"| `{{{name}}}` | {meaning} |" for name, meaning in KEY_FIELDS.items())
    return f"### Names of objects\n\nWhat a bucket's key template may hold:\n\n| field | |\n|---|---|\n{rows}\n"
