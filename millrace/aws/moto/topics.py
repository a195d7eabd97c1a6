"""What an SNS subscription delivers to a queue or a function."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from millrace.aws.events import sns
from millrace.aws.filters import subscription_filter
from millrace.aws.receivers import Receivers
from millrace.errors import ConfigError
from millrace.source import Published, TopicAttribute
from millrace.types import Put

_log = logging.getLogger("millrace.aws")


class _At(NamedTuple):
    """Where a topic is."""

    region: str
    account: str


def deliver(
    receivers: Receivers,
    subscription: Any,
    message: str,
    message_id: str,
    subject: str | None = None,
    message_attributes: Mapping[str, Mapping[str, Any]] | None = None,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    message_structure: str | None = None,
) -> list[Put]:
    """What becomes of one publication: nothing where the filter policy refuses it, or the function is unknown."""
    attributes = message_attributes or {}
    published = Published(
        subscription.topic.name,
        message_id,
        message,
        time.time(),
        subject or None,
        {name: TopicAttribute(value["Type"], str(value["Value"])) for name, value in attributes.items()},
        json=message_structure == "json",
        group=group_id or "",
        dedupe=deduplication_id or "",
    )
    if not _passes(subscription, published):
        return []
    if subscription.protocol == "lambda":
        function = receivers.find(subscription.endpoint)
        return [receivers.function_put(function, published, "topic")] if function is not None else []
    return [_to_queue(receivers, subscription, published)]


def _passes(subscription: Any, published: Published) -> bool:
    policy, scope = subscription._filter_policy, subscription.attributes.get("FilterPolicyScope")
    try:
        return subscription_filter(policy or {}, scope or "MessageAttributes")(published)
    except ConfigError as error:
        _log.warning("subscription %s lets nothing pass: %s", subscription.arn, error.problem)
        return False


def _to_queue(receivers: Receivers, subscription: Any, published: Published) -> Put:
    queue = subscription.endpoint.split(":")[-1]
    backend = subscription.topic.sns_backend
    at = _At(backend.region_name, backend.account_id)
    raw = str(subscription.attributes.get("RawMessageDelivery")).lower() == "true"
    body, carried = sns.delivered(published, at, raw=raw)
    return receivers.queue_put(queue, body, carried, group=published.group, dedupe=published.dedupe)
