"""The vocabulary of millrace.yml: each field with type, default and one sentence, from which schema and docs come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from millrace.config.units import Bytes, Seconds

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "ANY")


def _variable(value: Any) -> Any:
    """YAML's 4 and true as environment variables have them: text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


Variable = Annotated[
    str, BeforeValidator(_variable), WithJsonSchema({"type": ["string", "number", "boolean"]}, mode="validation")
]


TOKEN_VARIABLE = "MILLRACE_TOKEN"  # noqa: S105 - its name, not its value


class Section(BaseModel):
    """A mapping in the project file: unknown keys are faults, values do not change after loading.

    A key without a value (`labels:`) is as if left out; a whole section without one is all defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nothing(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None or key not in cls.model_fields}
        return value


class QueueConfig(Section):
    """A durable queue; its dead letters are in `<name>.dead`."""

    lease: Seconds = Field(30.0, description="How long a taken message stays hidden unless its lease is renewed.")
    max_receives: int = Field(5, ge=1, description="Deliveries before a message becomes a dead letter.")
    ttl: Seconds | None = Field(None, description="Age at which an unprocessed message becomes a dead letter.")
    max_depth: int | None = Field(None, ge=1, description="Waiting messages beyond which puts are refused with 429.")
    fifo: bool = Field(False, description="Keep order within a message group, one batch in flight per group.")
    dedupe: Seconds = Field(86400.0, description="How long an id is remembered after its message has ended.")


class TableConfig(Section):
    """A table of rows by key."""

    key: str = Field("id", description="The field that identifies a row.")


class BucketConfig(Section):
    """A bucket of objects: a folder or an object store."""

    url: str = Field(description="A folder relative to the project, or s3://, gs://, az:// with a bucket and prefix.")
    poll: Seconds = Field(1.0, description="How often a watched bucket is listed for changes.")


class HttpRoute(Section):
    """A method and a path of the gateway; `POST /images` is short for both."""

    method: str = Field(description="GET, POST, PUT, PATCH, DELETE or ANY.")
    path: str = Field(description="A path such as /images or /pets/{id}.")
    payload: Literal["v1", "v2"] = Field("v2", description="Which API Gateway event a handler receives.")

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


class ScheduleEvent(Section):
    """A moment that comes again."""

    schedule: str = Field(description="rate(5 minutes), a cron(...) of AWS's six fields, or five classic cron fields.")
    input: Any = Field(None, description="The event that a handler receives instead of the scheduled event.")


class BucketEvent(Section):
    """Objects created or removed in a bucket."""

    bucket: str = Field(description="A bucket, with an optional pattern of keys: lake/incoming/*.jpg")
    on: Literal["created", "removed"] = Field("created", description="Which change counts.")


class TableEvent(Section):
    """A table's change stream, in order per key."""

    table: str = Field(description="A table declared under `tables`.")


class PushEvent(Section):
    """A Pub/Sub-style push subscription."""

    push: str = Field(description="The path to which the subscription posts.")
    token: str | None = Field(None, description="What the push must carry as ?token= or Bearer token.")


EVENTS: dict[str, type[Section]] = {
    "queue": QueueEvent,
    "http": HttpEvent,
    "schedule": ScheduleEvent,
    "bucket": BucketEvent,
    "table": TableEvent,
    "push": PushEvent,
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
    | Annotated[PushEvent, Tag("push event")],
    Discriminator(_event_key),
]


class BatchConfig(Section):
    """When a batch is released: full by count or bytes, or its oldest message waited long enough."""

    size: int = Field(1, ge=1, le=10_000, description="Most messages in a batch.")
    wait: Seconds = Field(0.0, description="Longest that the oldest message of a batch waits for company.")
    bytes: Bytes = Field(16_000_000, description="Most bytes of bodies in a batch.")


class RetryConfig(Section):
    """Delay before try n: base x 2^n, at most max, with full jitter."""

    base: Seconds = Field(1.0, description="The first delay.")
    max: Seconds = Field(300.0, description="The longest delay.")


class Sink(Section):
    """Where a result goes: exactly one of the keys."""

    table: str | None = Field(None, description="A table: the result's fields become a row beside its key.")
    queue: str | None = Field(None, description="A queue: the result becomes a message.")
    bucket: str | None = Field(None, description="A bucket and a key template: lake/{date}/{id}.json")
    webhook: str | None = Field(None, description="An http(s) URL of the project file's author to post the result to.")


class FunctionConfig(Section):
    """A model or a handler: exactly one of the two."""

    model: str | None = Field(None, description="A class with predict, as module.Class.")
    handler: str | None = Field(None, description="A function of (event, context), as module.function.")
    description: str = Field("", description="One line for people and /openapi.json.")
    events: list[Event] = Field(default_factory=list, description="What triggers it.")
    batch: BatchConfig = Field(default_factory=BatchConfig, description="How messages are batched.")
    replicas: int = Field(1, ge=0, le=1024, description="Processes that run it.")
    threads: int = Field(4, ge=1, le=256, description="Threads of a replica that preprocess ahead.")
    timeout: Seconds = Field(30.0, gt=0, description="Longest that one batch may take in predict or the handler.")
    load_timeout: Seconds = Field(300.0, gt=0, description="Longest that load() may take.")
    memory: Bytes | None = Field(None, description="Resident memory beyond which a replica is killed.")
    environment: dict[str, Variable] = Field(default_factory=dict, description="Environment variables of its replicas.")
    to: list[Sink] = Field(default_factory=list, description="Where results go.")
    retry: RetryConfig = Field(default_factory=RetryConfig, description="Backoff between tries.")
    retry_on: list[str] = Field(default_factory=list, description="Dotted exception types to retry; the rest die.")
    dead_on: list[str] = Field(default_factory=list, description="Dotted exception types that go to the dead letters.")

    @property
    def target(self) -> str:
        """The dotted path of the user's code."""
        return self.model or self.handler or ""

    @property
    def kind(self) -> Literal["model", "handler"]:
        """Which contract the code follows."""
        return "model" if self.model else "handler"


class GatewayConfig(Section):
    """The HTTP side."""

    host: str = Field("127.0.0.1", description="Address to listen on; anything but loopback needs a token.")
    port: int = Field(8400, ge=0, le=65535, description="Port; 0 takes a free one.")
    token: str | None = Field(None, description="Bearer token; better given as MILLRACE_TOKEN.")
    max_body: Bytes = Field(16_000_000, description="Largest request body; beyond it 413.")
    max_wait: Seconds = Field(60.0, description="Longest that Prefer: wait or ?wait= may hold a request.")


class Project(Section):
    """A whole project with one stage applied.

    `root`, the folder of the project file, is set by the loader.
    """

    service: str = Field(description="The project's name.")
    root: SkipJsonSchema[Path] = Field(default=Path(), exclude=True, strict=False, description="Set by the loader.")
    stage: str = Field("dev", description="The stage that was chosen.")
    broker: str | None = Field(None, description="A broker's URL; without one the embedded queue is used.")
    gateway: GatewayConfig = Field(default_factory=GatewayConfig, description="The HTTP side.")
    drain: Seconds = Field(30.0, description="Longest that a shutdown waits for running batches.")
    environment: dict[str, Variable] = Field(default_factory=dict, description="Environment variables of all replicas.")
    queues: dict[str, QueueConfig] = Field(default_factory=dict, description="Queues by name.")
    tables: dict[str, TableConfig] = Field(default_factory=dict, description="Tables by name.")
    buckets: dict[str, BucketConfig] = Field(default_factory=dict, description="Buckets by name.")
    functions: dict[str, FunctionConfig] = Field(default_factory=dict, description="Functions by name.")
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Overlays chosen with --stage.")

    @property
    def state(self) -> Path:
        """The folder where the embedded backend keeps its files."""
        return self.root / ".millrace"

    def inbox(self, function: str) -> str:
        """The queue into which a function's events other than `queue:` put: its first queue, or one of its own name."""
        events = self.functions[function].events
        return next((event.queue for event in events if isinstance(event, QueueEvent)), function)

    def queues_of(self, function: str) -> list[str]:
        """Every durable queue that a function takes from, its inbox first."""
        named = [event.queue for event in self.functions[function].events if isinstance(event, QueueEvent)]
        return list(dict.fromkeys([self.inbox(function), *named]))
