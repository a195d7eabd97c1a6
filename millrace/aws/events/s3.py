"""An object that was created or removed, as S3's event notification.

Shape: Amazon S3 user guide, "Event message structure": the key is URL-encoded (`red flower.jpg` is
`red+flower.jpg`); a removal has neither size nor eTag; a greater sequencer happened later.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any
from urllib.parse import quote_plus

from millrace.aws.moments import millis_text
from millrace.source import ObjectChange
from millrace.wire import Spec

_NAMES = {"created": "ObjectCreated:Put", "removed": "ObjectRemoved:Delete"}


def event(change: ObjectChange, id: str, spec: Spec) -> dict[str, Any]:
    """The notification of one change; `id` is the message's, from which the request ids are derived."""
    request = blake2b(id.encode(), digest_size=16).hexdigest().upper()
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": spec.region,
                "eventTime": millis_text(change.at),
                "eventName": _NAMES[change.kind],
                "userIdentity": {"principalId": spec.account},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": request[:16], "x-amz-id-2": request},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": spec.function,
                    "bucket": {
                        "name": change.bucket,
                        "ownerIdentity": {"principalId": spec.account},
                        "arn": f"arn:aws:s3:::{change.bucket}",
                    },
                    "object": _object(change),
                },
            }
        ]
    }


def _object(change: ObjectChange) -> dict[str, Any]:
    shown: dict[str, Any] = {"key": quote_plus(change.key, safe="/")}
    if change.kind == "created":
        shown |= {"size": change.size, "eTag": change.etag}
    shown["sequencer"] = f"{int(change.at * 1_000_000):018X}"
    return shown
