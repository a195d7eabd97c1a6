"""The part of the project file that speaks of AWS: the local endpoint, topics, asynchronous calls."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from millrace.config.section import Section
from millrace.config.units import Seconds


class Destination(Section):
    """Where AWS's envelope of an asynchronous call goes: exactly one of the keys."""

    queue: str | None = Field(None, description="A queue: the envelope becomes a message.")
    topic: str | None = Field(None, description="A topic: the envelope is published.")
    function: str | None = Field(None, description="A function: it is called with the envelope, asynchronously.")
    bus: str | None = Field(None, description="An event bus: the envelope is its event.")

    @property
    def target(self) -> tuple[str, str]:
        """The kind and the name; ("", "") where no key is given."""
        found = ((key, getattr(self, key)) for key in type(self).model_fields)
        return next(((key, name) for key, name in found if name is not None), ("", ""))


class AsyncConfig(Section):
    """How a function is called where nobody waits: by schedules, buckets, topics, buses, `invoke --type Event`."""

    tries: int = Field(2, ge=0, le=10, description="How often a failed call is tried again.")
    wait: Seconds = Field(60.0, description="Before the first of these; each further one waits twice as long.")
    max_age: Seconds = Field(21600.0, description="Age at which a call is given up.")
    on_success: Destination | None = Field(None, description="Where the envelope of a call that succeeded goes.")
    on_failure: Destination | None = Field(None, description="Where the envelope of a call that was given up goes.")
    dead_letter: Destination | None = Field(None, description="Where the event of a call that was given up goes.")


class TopicQueue(Section):
    """A queue that is subscribed to a topic."""

    queue: str = Field(description="A queue declared under `queues`.")
    filter: dict[str, Any] = Field(default_factory=dict, description="SNS filter policy; empty lets everything pass.")
    scope: str = Field("MessageAttributes", description="What the filter looks at: MessageAttributes or MessageBody.")
    raw: bool = Field(False, description="Deliver the published text itself, without SNS's envelope.")


class TopicConfig(Section):
    """An SNS topic; functions subscribe with a `topic:` event."""

    queues: list[TopicQueue] = Field(default_factory=list, description="Queues that get what is published.")
    fifo: bool = Field(False, description="Keep order within a message group.")


ACCOUNT = r"^\d{12}$"
REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"


class AwsConfig(Section):
    """AWS at home: one endpoint for SQS and the services that handlers call through an SDK."""

    account: str = Field("000000000000", pattern=ACCOUNT, description="The account id in ARNs and queue URLs.")
    region: str = Field("us-east-1", pattern=REGION, description="The region of the resources.")
    host: str = Field("127.0.0.1", description="Address of the endpoint; anything but loopback needs `keys`.")
    port: int = Field(8401, ge=0, le=65535, description="Port of the endpoint; 0 takes a free one.")
    keys: dict[str, str] = Field(
        default_factory=dict, description="Access key ids and their secrets; requests from elsewhere are checked."
    )
    resources: dict[str, Any] = Field(
        default_factory=dict,
        description="CloudFormation resources that exist before the first event: buckets, tables, parameters.",
    )
