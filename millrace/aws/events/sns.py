"""What was published to a topic, as a function gets it, and as SNS writes it into a queue.

Shapes: AWS Lambda developer guide, "Invoking Lambda functions with Amazon SNS notifications"; SNS developer guide,
"HTTP/HTTPS notification JSON format" and "Large payload and raw message delivery". Nothing is signed here, so what
stands for the signature opens nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from millrace.aws.arns import Location, arn
from millrace.aws.attributes import Attribute, of_text
from millrace.aws.moments import millis_text
from millrace.source import Published
from millrace.wire import Spec

Json = dict[str, Any]


def event(published: Published, spec: Spec) -> Json:
    """`{"Records": [...]}` for one notification: SNS hands them over one at a time."""
    notification = {
        "Type": "Notification",
        "MessageId": published.message_id,
        "TopicArn": topic_arn(published, spec),
        "Subject": published.subject,
        "Message": message_for(published, "lambda"),
        "Timestamp": millis_text(published.at),
        **_signature(published, spec, "SigningCertUrl", "UnsubscribeUrl"),
        "MessageAttributes": _attributes(published),
    }
    subscription = uuid.uuid5(uuid.NAMESPACE_OID, f"{published.topic} {spec.function}")
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": f"{topic_arn(published, spec)}:{subscription}",
                "Sns": notification,
            }
        ]
    }


def envelope(published: Published, at: Location) -> Json:
    """The body of the message that a subscribed queue gets, unless its delivery is raw."""
    shown: Json = {
        "Type": "Notification",
        "MessageId": published.message_id,
        "TopicArn": topic_arn(published, at),
    }
    if published.subject is not None:
        shown["Subject"] = published.subject
    shown |= {
        "Message": message_for(published, "sqs"),
        "Timestamp": millis_text(published.at),
        **_signature(published, at, "SigningCertURL", "UnsubscribeURL"),
    }
    if published.attributes:
        shown["MessageAttributes"] = _attributes(published)
    return shown


def delivered(published: Published, at: Location, *, raw: bool) -> tuple[bytes, dict[str, Attribute]]:
    """The body and the attributes of the message that a subscribed queue gets."""
    if raw:
        return message_for(published, "sqs").encode(), dict(_typed(published))
    return msgspec.json.encode(envelope(published, at)), {}


def message_for(published: Published, protocol: Literal["lambda", "sqs"]) -> str:
    """The text for a protocol; where it is a JSON object of texts, its own one or the `default`."""
    if not published.json:
        return published.message
    try:
        texts = msgspec.json.decode(published.message, type=dict[str, Any])
    except msgspec.DecodeError:
        return published.message
    return str(texts.get(protocol, texts.get("default", "")))


def topic_arn(published: Published, at: Location) -> str:
    """The topic's name as AWS writes it."""
    return arn(at, "sns", published.topic)


def _typed(published: Published) -> Iterator[tuple[str, Attribute]]:
    for name, each in published.attributes.items():
        try:
            yield name, of_text(each.type, each.value)
        except ValueError:
            continue  # Binary that is no base64: SNS would have refused it


def _attributes(published: Published) -> Json:
    return {name: {"Type": each.type, "Value": each.value} for name, each in published.attributes.items()}


def _signature(published: Published, at: Location, certificate: str, unsubscribe: str) -> Json:
    here = f"https://sns.{at.region}.amazonaws.com"
    return {
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        certificate: f"{here}/SimpleNotificationService.pem",
        unsubscribe: f"{here}/?Action=Unsubscribe&SubscriptionArn={topic_arn(published, at)}",
    }
