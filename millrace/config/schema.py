"""The vocabulary of millrace.yml: each field with type, default and one sentence, from which schema and docs come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from millrace.config.aws import AsyncConfig, AwsConfig, TopicConfig
from millrace.config.codec import CodecSetting
from millrace.config.events import BatchConfig, Event, QueueEvent, TableEvent
from millrace.config.section import Section, Variable
from millrace.config.units import Bytes, Seconds

ASYNC_SUFFIX = ".async"
STREAM_SUFFIX = ".stream"
CALLS_SUFFIX = ".calls"


UNLIMITED = "unlimited"
BUCKET_SCHEMES = ("s3", "gs", "az", "memory")


def _receives(value: Any) -> Any:
    return None if value == UNLIMITED else value


Receives = Annotated[
    int | None,
    BeforeValidator(_receives),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": UNLIMITED}]}),
]


class QueueConfig(Section):
    """A durable queue; its dead letters are in `<name>.dead`."""

    lease: Seconds = Field(30.0, description="How long a taken message stays hidden unless its lease is renewed.")
    max_receives: Receives = Field(
        5, ge=1, description="Deliveries before a message becomes a dead letter, or `unlimited`."
    )
    dead: str | None = Field(None, description="A queue to which dead letters go instead of `<name>.dead`.")
    delay: Seconds = Field(0.0, description="How long a message stays hidden after it was put.")
    ttl: Seconds | None = Field(None, description="Age at which an unprocessed message becomes a dead letter.")
    max_depth: int | None = Field(None, ge=1, description="Waiting messages beyond which puts are refused with 429.")
    fifo: bool = Field(False, description="Keep order within a message group, one batch in flight per group.")
    dedupe: Seconds = Field(86400.0, description="How long an id is remembered after its message has ended.")
    codec: CodecSetting | None = Field(
        None, description="The format in which its bodies travel; without one they travel as they are."
    )
    attributes: dict[str, Variable] = Field(
        default_factory=dict, description="SQS attributes that the AWS endpoint alone knows: MaximumMessageSize, ..."
    )


class TableConfig(Section):
    """A table of rows by key."""

    key: str = Field("id", description="The field that identifies a row.")
    sort: str | None = Field(None, description="The second field of the key, DynamoDB's range key.")
    url: str | None = Field(
        None, description="Where its rows are: dynamodb://REGION/TABLE; left out: in `database`, or in .millrace."
    )


class BucketConfig(Section):
    """A bucket of objects: a folder or an object store."""

    url: str = Field(description="A folder relative to the project, or s3://, gs://, az:// with a bucket and prefix.")
    poll: Seconds = Field(1.0, description="How often a watched bucket is listed for changes.")


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
    """A model, a handler or a WSGI application: exactly one of the three."""

    model: str | None = Field(None, description="A class with predict, as module.Class.")
    handler: str | None = Field(None, description="A function of (event, context), as module.function.")
    wsgi: str | None = Field(None, description="A WSGI application, as module.app, served at its http events.")
    root: str | None = Field(
        None, description="The folder of its code below the project's, first on its path; left out: the project's."
    )
    name: str | None = Field(None, description="What AWS calls the function, if not by its name here.")
    description: str = Field("", description="One line for people and /openapi.json.")
    events: list[Event] = Field(default_factory=list, description="What triggers it.")
    batch: BatchConfig = Field(default_factory=BatchConfig, description="How messages are batched.")
    asynchronous: AsyncConfig | None = Field(
        None, description="How it is called where nobody waits, as Lambda does; left out: through its queue."
    )
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
        return self.model or self.handler or self.wsgi or ""

    @property
    def kind(self) -> Literal["model", "handler", "wsgi"]:
        """Which contract the code follows."""
        return "model" if self.model else "wsgi" if self.wsgi else "handler"


class GatewayConfig(Section):
    """The HTTP side."""

    host: str = Field("127.0.0.1", description="Address to listen on; anything but loopback needs a token.")
    port: int = Field(8400, ge=0, le=65535, description="Port; 0 takes a free one.")
    api_keys: dict[str, str | None] = Field(
        default_factory=dict,
        description="Names and values of the keys that paths with `key: true` ask for; one without a value gets it "
        "at the first start, in .millrace/api_keys.json.",
    )
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
    broker: str | None = Field(None, description="A broker's URL: amqp://, ...; left out: the embedded queue.")
    database: str | None = Field(
        None,
        description="Where tables, results and bookmarks are kept: postgresql://HOST/NAME; left out: in .millrace.",
    )
    bodies: str | None = Field(
        None,
        description="Where bodies wait that are too large for the queue: a folder, or s3://, gs://, az:// with a "
        "bucket and prefix; left out: .millrace/bodies.",
    )
    gateway: GatewayConfig = Field(default_factory=GatewayConfig, description="The HTTP side.")
    drain: Seconds = Field(30.0, description="Longest that a shutdown waits for running batches.")
    environment: dict[str, Variable] = Field(default_factory=dict, description="Environment variables of all replicas.")
    queues: dict[str, QueueConfig] = Field(default_factory=dict, description="Queues by name.")
    tables: dict[str, TableConfig] = Field(default_factory=dict, description="Tables by name.")
    buckets: dict[str, BucketConfig] = Field(default_factory=dict, description="Buckets by name.")
    topics: dict[str, TopicConfig] = Field(default_factory=dict, description="SNS topics by name.")
    aws: AwsConfig | None = Field(None, description="AWS at home; `aws: {}` starts the endpoint with all defaults.")
    functions: dict[str, FunctionConfig] = Field(default_factory=dict, description="Functions by name.")
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Overlays chosen with --stage.")

    @property
    def state(self) -> Path:
        """The folder where the embedded backend keeps its files."""
        return self.root / ".millrace"

    def folder(self, function: str) -> Path:
        """The folder of a function's code: first on its replicas' path, and their working directory."""
        return self.root / (self.functions[function].root or "")

    def inbox(self, function: str) -> str:
        """The queue into which a function's events other than `queue:` and `table:` put.

        Its first queue, or one of its own name; where it is called as Lambda calls, `<function>.async`, since what a
        queue of its own holds is seen by others.
        """
        config = self.functions[function]
        if config.asynchronous is not None:
            return f"{function}{ASYNC_SUFFIX}"
        return next((event.queue for event in config.events if isinstance(event, QueueEvent)), function)

    def stream(self, function: str, table: str) -> str:
        """The FIFO queue that holds the changes of a table for a function with a `table:` event."""
        return f"{function}.{table}{STREAM_SUFFIX}"

    def calls(self, function: str) -> str:
        """The durable queue of a function's synchronous calls, where they are answered by another process."""
        return f"{function}{CALLS_SUFFIX}"

    def streams_of(self, function: str) -> list[str]:
        """The queues of the tables that a function follows."""
        tables = [event.table for event in self.functions[function].events if isinstance(event, TableEvent)]
        return [self.stream(function, table) for table in dict.fromkeys(tables)]

    def queues_of(self, function: str) -> list[str]:
        """Every durable queue that a function takes from, its inbox first."""
        named = [event.queue for event in self.functions[function].events if isinstance(event, QueueEvent)]
        return list(dict.fromkeys([self.inbox(function), *named, *self.streams_of(function)]))
