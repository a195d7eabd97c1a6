"""A push, in the JSON that Google Cloud Pub/Sub posts to a push endpoint: AWS has no counterpart.

Shape: Pub/Sub documentation, "Push subscriptions"; ids and times stand there under both spellings.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from millrace.aws.moments import millis_text
from millrace.source import Push


def event(push: Push) -> dict[str, Any]:
    """The pushed message, its data in base64."""
    published = millis_text(push.at)
    return {
        "message": {
            "data": b64encode(push.data).decode(),
            "attributes": dict(push.attributes),
            "messageId": push.message_id,
            "message_id": push.message_id,
            "publishTime": published,
            "publish_time": published,
        },
        "subscription": push.subscription,
    }
