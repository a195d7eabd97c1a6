"""What the bodies of a queue look like to others: a broker whose messages travel in a format of their own."""

from __future__ import annotations

from millrace.brokers.codecs.broker import CodecBroker
from millrace.brokers.codecs.cloudevents import CloudEvents
from millrace.brokers.codecs.codec import Codec
from millrace.brokers.codecs.json import Json
from millrace.brokers.codecs.msgpack import MessagePack
from millrace.brokers.codecs.protobuf import Protobuf

__all__ = ["CloudEvents", "Codec", "CodecBroker", "Json", "MessagePack", "Protobuf"]
