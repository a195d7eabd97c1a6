"""Which reader an event has by its kind, and what is said of kinds that have none."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.config.faults import nearest
from millrace.formats.keys import Key, Keys
from millrace.formats.serverless.events.asked import Asked, EventReader
from millrace.formats.serverless.events.event_bridge import read_cloudwatch_event, read_event_bridge
from millrace.formats.serverless.events.http import read_http
from millrace.formats.serverless.events.http_api import read_http_api
from millrace.formats.serverless.events.s3 import read_s3
from millrace.formats.serverless.events.schedule import read_schedule
from millrace.formats.serverless.events.sns import read_sns
from millrace.formats.serverless.events.sqs import read_sqs
from millrace.formats.serverless.events.stream import read_stream

EVENT_KEYS: Keys = {
    "http": Key("partly", "proxy integrations; no authorizers, no mapping"),
    "httpApi": Key("partly", "no authorizers"),
    "sqs": Key("yes"),
    "schedule": Key("partly", "no inputTransformer; UTC"),
    "s3": Key("partly", "created and removed"),
    "sns": Key("yes"),
    "stream": Key("partly", "tables; not Kinesis"),
    "eventBridge": Key("partly", "no inputTransformer"),
    "cloudwatchEvent": Key("partly", "no inputTransformer"),
    "cloudwatchLog": Key("no", "no log groups feed functions here"),
    "alb": Key("no", "use an httpApi event"),
    "websocket": Key("no", "the gateway speaks HTTP alone"),
    "iot": Key("no", "there is no broker of things here"),
    "iotFleetProvisioning": Key("no", "there is no broker of things here"),
    "alexaSkill": Key("no", "`millrace invoke` calls the function"),
    "alexaSmartHome": Key("no", "`millrace invoke` calls the function"),
    "cognitoUserPool": Key("no", "`millrace invoke` calls the function"),
    "cloudFront": Key("no", "there is no edge here"),
    "activemq": Key("no", "other brokers do not feed functions here"),
    "rabbitmq": Key("no", "other brokers do not feed functions here"),
    "kafka": Key("no", "other brokers do not feed functions here"),
    "msk": Key("no", "other brokers do not feed functions here"),
}
READERS: Mapping[str, EventReader] = {
    "http": read_http,
    "httpApi": read_http_api,
    "sqs": read_sqs,
    "schedule": read_schedule,
    "s3": read_s3,
    "sns": read_sns,
    "stream": read_stream,
    "eventBridge": read_event_bridge,
    "cloudwatchEvent": read_cloudwatch_event,
}


def read_event(asked: Asked) -> None:
    """Give a function the event in millrace.yml's words; a warning where it cannot be said there."""
    reader = READERS.get(asked.kind)
    asked.reading.ledger.count(reader is not None)
    if reader is not None:
        reader(asked)
        return
    known = EVENT_KEYS.get(asked.kind)
    why = "is no event that millrace knows" if known is None else f"does not run here: {known.note}"
    near = nearest(asked.kind, EVENT_KEYS) if known is None else ""
    what = f"functions.{asked.function}: the event {asked.kind} {why}; it is left aside"
    asked.reading.ledger.warn(asked.node, what, near=near)
