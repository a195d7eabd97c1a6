"""What EventBridge tells: a schedule that came due, and an event that was put on a bus.

Shapes: Amazon EventBridge user guide, "Events from scheduled rules" and "Event structure reference".
"""

from __future__ import annotations

import re
import uuid
from hashlib import blake2b
from typing import Any

import msgspec

from millrace.aws.arns import Location, arn
from millrace.aws.moments import seconds_text
from millrace.source import BusPost, Tick
from millrace.wire import Spec

_STEP = re.compile(r"[^.\[\]]+")


def event(tick: Tick, id: str, spec: Spec) -> Any:
    """The event of one tick, or its part; AWS's UUID is derived of the message's `id`, so that retries keep it."""
    whole = {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, id)),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": spec.account,
        "time": seconds_text(tick.at),
        "region": spec.region,
        "resources": [arn(spec, "events", f"rule/{rule_name(tick)}")],
        "detail": {},
    }
    return at_path(whole, tick.path)


def bus_event(post: BusPost, at: Location) -> dict[str, Any]:
    """An event of a bus, as its rules match it and its targets get it."""
    return {
        "version": "0",
        "id": post.id,
        "detail-type": post.detail_type,
        "source": post.source,
        "account": at.account,
        "time": seconds_text(post.at),
        "region": at.region,
        "resources": list(post.resources),
        "detail": msgspec.json.decode(post.detail),
    }


def at_path(document: Any, path: str) -> Any:
    """The part of a document at `$.a.b[0]`, all of it at `$`; None where there is none."""
    for name in _STEP.findall(path.removeprefix("$")):
        if isinstance(document, list):
            document = document[int(name)] if name.isdecimal() and int(name) < len(document) else None
        else:
            document = document.get(name) if isinstance(document, dict) else None
    return document


def rule_name(tick: Tick) -> str:
    """A name for a schedule, which has none of its own: its function, and a hash of the expression."""
    return f"{tick.function}-{blake2b(tick.rule.encode(), digest_size=4).hexdigest()}"
