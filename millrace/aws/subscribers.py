"""Who gets what is published to a topic or put on an event bus, by the project file: messages for queues and functions.

    topic  →  the queues subscribed to it, in SNS's envelope unless raw; functions with a `topic:` event
    bus    →  functions with a `bus:` event whose pattern matches

The ids of these messages are derived from the publication's, so that one which is repeated is dropped. Pure: whoever
publishes puts what comes back, in a transaction of his own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from millrace.aws.events import eventbridge, sns
from millrace.aws.filters import subscription_filter
from millrace.aws.receivers import Receivers
from millrace.config.events import BusEvent, TopicEvent
from millrace.config.schema import Project
from millrace.patterns import compile_pattern
from millrace.source import BusPost, Published
from millrace.types import Put

_Made = Put | None


class Subscribers:
    """The project's subscriptions and rules, compiled once. Raises PatternError for a filter that means nothing."""

    def __init__(self, project: Project) -> None:
        self.receivers = Receivers(project)
        self._topics: dict[str, list[Callable[[Published], _Made]]] = {}
        self._buses: dict[str, list[Callable[[BusPost, dict[str, Any]], _Made]]] = {}
        for topic, config in project.topics.items():
            for queue in config.queues:
                accepts = subscription_filter(queue.filter, queue.scope)
                deliver = partial(self._to_queue, queue.queue, queue.raw)
                self._topics.setdefault(topic, []).append(partial(_if, accepts, deliver))
        for function, each in project.functions.items():
            for event in each.events:
                if isinstance(event, TopicEvent):
                    accepts = subscription_filter(event.filter, event.scope)
                    self._topics.setdefault(event.topic, []).append(
                        partial(_if, accepts, partial(self._to_function, function))
                    )
                elif isinstance(event, BusEvent):
                    rule = partial(self._by_rule, function, event, compile_pattern(event.pattern))
                    self._buses.setdefault(event.bus, []).append(rule)

    def topic_puts(self, published: Published) -> list[Put]:
        """The messages that a publication becomes; none for a topic without subscribers."""
        made = [deliver(published) for deliver in self._topics.get(published.topic, ())]
        return [put for put in made if put is not None]

    def bus_puts(self, post: BusPost) -> list[Put]:
        """The messages that an event on a bus becomes. Raises msgspec.DecodeError where its detail is no JSON."""
        document = eventbridge.bus_event(post, self.receivers.location)
        made = [rule(post, document) for rule in self._buses.get(post.bus, ())]
        return [put for put in made if put is not None]

    def _to_queue(self, queue: str, raw: bool, published: Published) -> Put:
        id = delivery_id(published.message_id, queue)
        body, carried = sns.delivered(published, self.receivers.location, raw=raw)
        return self.receivers.queue_put(
            queue, body, carried, id=id, at=published.at, group=published.group, dedupe=published.dedupe
        )

    def _to_function(self, function: str, published: Published) -> Put:
        id = delivery_id(published.message_id, function)
        return self.receivers.function_put(function, published, "topic", id=id, at=published.at)

    def _by_rule(
        self,
        function: str,
        event: BusEvent,
        matches: Callable[[Any], bool],
        post: BusPost,
        document: dict[str, Any],
    ) -> _Made:
        if not matches(document):
            return None
        id = delivery_id(post.id, f"{function} {msgspec.json.encode([event.pattern, event.input]).decode()}")
        if event.input is not None:
            return self.receivers.function_put(function, event.input, id=id, at=post.at)
        if event.input_path is not None:
            part = eventbridge.at_path(document, event.input_path)
            return self.receivers.function_put(function, part, id=id, at=post.at)
        return self.receivers.function_put(function, post, "bus", id=id, at=post.at)


def delivery_id(source: str, receiver: str) -> str:
    """The UUID of what a publication (or a message) becomes for one receiver: the same however often it is made."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{source} {receiver}"))


def _if(accepts: Callable[[Published], bool], deliver: Callable[[Published], Put], published: Published) -> _Made:
    return deliver(published) if accepts(published) else None
