"""What triggers a function: one Section for each kind of event, and the union that the project file's lists hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from millrace.config.aws import Destination
from millrace.config.section import Section
from millrace.config.units import Bytes, Seconds

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY")
OnError = Literal["bisect", "batch"]


class BatchConfig(Section):
    """When a batch is released: full by count or bytes, or its oldest message waited long enough."""

    size: int = Field(1, ge=1, le=10_000, description="Most messages in a batch.")
    wait: Seconds = Field(0.0, description="Longest that the oldest message of a batch waits for company.")
    bytes: Bytes = Field(16_000_000, description="Most bytes of bodies in a batch.")


class Cors(Section):
    """What a browser's page from elsewhere may do; `cors: true` is all defaults."""

    origins: list[str] = Field(default_factory=lambda: ["*"], description="Origins that may call; * is any.")
    headers: list[str] = Field(
        default_factory=lambda: ["Content-Type", "X-Amz-Date", "Authorization", "X-Api-Key", "X-Amz-Security-Token"],
        description="Request headers that may be sent.",
    )
    methods: list[str] = Field(default_factory=list, description="Methods that may be used; empty: the path's own.")
    expose: list[str] = Field(default_factory=list, description="Response headers that the page may read.")
    credentials: bool = Field(False, description="Whether cookies may be sent.")
    max_age: Seconds | None = Field(None, description="How long the answer may be remembered.")


class HttpRoute(Section):
    """A method and a path of the gateway; `POST /images` is short for both."""

    method: str = Field(description="GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS or ANY.")
    path: str = Field(description="/images, /pets/{id}, /files/{rest+}, or $default: what has no other.")
    payload: Literal["v1", "v2"] = Field("v2", description="Which API Gateway event a handler receives.")
    key: bool = Field(False, description="Whether x-api-key must carry one of gateway.api_keys.")
    cors: Cors | None = Field(None, description="Answer browsers' preflight requests; true is all defaults.")

    @model_validator(mode="before")
    @classmethod
    def _split_short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        method, _, path = value.strip().partition(" ")
        if not path:
            raise ValueError("a method and a path such as POST /images")
        return {"method": method, "path": path.strip()}

    @field_validator("method", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("cors", mode="before")
    @classmethod
    def _all_defaults(cls, value: Any) -> Any:
        return {True: {}, False: None}[value] if isinstance(value, bool) else value


class HttpEvent(Section):
    """A path of the gateway that puts into the function's queue (model) or calls it (handler)."""

    http: HttpRoute = Field(description="`POST /images`, or a mapping of method, path and payload.")

    @property
    def method(self) -> str:
        """The HTTP method, upper case."""
        return self.http.method

    @property
    def path(self) -> str:
        """The path as configured, parameters in braces."""
        return self.http.path

    @property
    def payload(self) -> Literal["v1", "v2"]:
        """Which API Gateway event a handler receives."""
        return self.http.payload


class QueueEvent(Section):
    """Messages of a queue."""

    queue: str = Field(description="A queue declared under `queues`.")
    batch: BatchConfig | None = Field(None, description="How this queue's messages are batched, if not as `batch`.")
    filter: list[dict[str, Any]] = Field(
        default_factory=list, description="Event filter patterns of AWS; a message that matches none is deleted."
    )
    concurrency: int | None = Field(None, ge=1, le=1000, description="Most batches of this queue at once.")
    partial: bool = Field(True, description="Whether batchItemFailures in a handler's answer counts.")
    on_error: OnError = Field(
        "bisect", description="A batch that failed as a whole: look for the culprit, or (batch) fail all its messages."
    )
    retry: Literal["backoff", "lease"] = Field(
        "backoff", description="A failed message comes back after the function's backoff, or when its lease ends."
    )
    enabled: bool = Field(True, description="False takes nothing from the queue.")


class ScheduleEvent(Section):
    """A moment that comes again."""

    schedule: str = Field(description="rate(5 minutes), a cron(...) of AWS's six fields, or five classic cron fields.")
    input: Any = Field(None, description="The event that a handler receives instead of the scheduled event.")
    input_path: str | None = Field(None, description="The part of the scheduled event that it receives, as $.time.")
    enabled: bool = Field(True, description="False never comes due.")


class BucketEvent(Section):
    """Objects created or removed in a bucket."""

    bucket: str = Field(description="A bucket, with an optional pattern of keys: lake/incoming/*.jpg")
    on: Literal["created", "removed"] = Field("created", description="Which change counts.")


class TableEvent(Section):
    """A table's change stream, in order per key."""

    table: str = Field(description="A table declared under `tables`.")
    batch: BatchConfig | None = Field(None, description="How changes are batched, if not as `batch`.")
    filter: list[dict[str, Any]] = Field(
        default_factory=list, description="Event filter patterns of AWS; a change that matches none is passed over."
    )
    start: Literal["oldest", "latest"] = Field("oldest", description="Where a stream that is read anew begins.")
    tries: int | None = Field(None, ge=0, le=10_000, description="How often a failed batch is tried again.")
    max_age: Seconds | None = Field(None, description="Age at which a change is given up.")
    partial: bool = Field(True, description="Whether batchItemFailures in a handler's answer counts.")
    on_error: OnError = Field("bisect", description="A batch that failed as a whole: look for the culprit, or fail it.")
    on_failure: Destination | None = Field(None, description="Where the envelope of changes that were given up goes.")
    view: Literal["new_and_old", "new", "old", "keys"] = Field(
        "new_and_old", description="Which images of the row a handler receives."
    )
    enabled: bool = Field(True, description="False reads nothing.")


class PushEvent(Section):
    """A Pub/Sub-style push subscription."""

    push: str = Field(description="The path to which the subscription posts.")
    token: str | None = Field(None, description="What the push must carry as ?token= or Bearer token.")


class TopicEvent(Section):
    """What is published to an SNS topic."""

    topic: str = Field(description="A topic declared under `topics`.")
    filter: dict[str, Any] = Field(default_factory=dict, description="SNS filter policy; empty lets everything pass.")
    scope: Literal["MessageAttributes", "MessageBody"] = Field(
        "MessageAttributes", description="What the filter looks at."
    )


class BusEvent(Section):
    """Events of an EventBridge bus that match a pattern."""

    bus: str = Field(description="The bus; `default` is there without being declared.")
    pattern: dict[str, Any] = Field(default_factory=dict, description="EventBridge's event pattern.")
    input: Any = Field(None, description="The event that a handler receives instead.")
    input_path: str | None = Field(None, description="The part of the event that it receives, as $.detail.")


EVENTS: dict[str, type[Section]] = {
    "queue": QueueEvent,
    "http": HttpEvent,
    "schedule": ScheduleEvent,
    "bucket": BucketEvent,
    "table": TableEvent,
    "push": PushEvent,
    "topic": TopicEvent,
    "bus": BusEvent,
}


def _event_key(value: Any) -> str | None:
    """Which event a mapping is, by the one key that names its kind."""
    present = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Section) else ()
    named = [key for key in EVENTS if key in present]
    return f"{named[0]} event" if len(named) == 1 else None


Event = Annotated[
    Annotated[QueueEvent, Tag("queue event")]
    | Annotated[HttpEvent, Tag("http event")]
    | Annotated[ScheduleEvent, Tag("schedule event")]
    | Annotated[BucketEvent, Tag("bucket event")]
    | Annotated[TableEvent, Tag("table event")]
    | Annotated[PushEvent, Tag("push event")]
    | Annotated[TopicEvent, Tag("topic event")]
    | Annotated[BusEvent, Tag("bus event")],
    Discriminator(_event_key),
]
