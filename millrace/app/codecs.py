"""The codecs of a project's queues, made from what the project file says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from millrace.broker import Broker
from millrace.config.codec import CodecConfig
from millrace.config.schema import Project

if TYPE_CHECKING:
    from millrace.brokers.codecs import Codec


def with_codecs(broker: Broker, project: Project) -> Broker:
    """The broker, with the codecs of those queues that have one. Raises ConfigError for one that cannot be made."""
    settings = {name: queue.codec for name, queue in project.queues.items() if queue.codec is not None}
    if not settings:
        return broker
    from millrace.brokers.codecs import CodecBroker  # most projects need none of it, and start the sooner

    return CodecBroker(broker, codecs_of(project, settings))


def codecs_of(project: Project, settings: Mapping[str, CodecConfig]) -> dict[str, Codec]:
    """A codec for each queue; protobuf's files are named from the project's folder. Raises ConfigError."""
    return {queue: _codec(project, setting) for queue, setting in settings.items()}


def _codec(project: Project, setting: CodecConfig) -> Codec:
    from millrace.brokers import codecs

    match setting.format:
        case "json":
            return codecs.Json()
        case "msgpack":
            return codecs.MessagePack()
        case "cloudevents":
            kind = setting.type or "millrace.message"
            return codecs.CloudEvents(setting.mode, source=setting.source, type=kind, prefix=setting.prefix)
        case "protobuf":
            return codecs.Protobuf(project.root / (setting.file or ""), setting.type or "", setting.body)
