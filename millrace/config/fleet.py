"""Whether a project can run on the broker, the database and the bodies that it names, and on how many machines.

URLs are never shown as they are: they may hold a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from millrace import known_brokers
from millrace.config.events import TableEvent
from millrace.config.faults import nearest, one_of
from millrace.config.findings import Finding, Path
from millrace.config.schema import BUCKET_SCHEMES, Project
from millrace.errors import BrokerDenied
from millrace.known_brokers import KnownBroker, known_broker, scheme_of, schemes, titles_that, url_meant
from millrace.loopback import is_loopback

DATABASE_SCHEMES = ("postgresql", "postgres")
DATABASE_PACKAGE = "psycopg"
DATABASE_PORTS = {5432: "postgresql"}
TABLE_SCHEME = "dynamodb"
TABLE_PACKAGE = "botocore"
_SHOWN = 40  # characters of a scheme that is not known
LARGE_BODY = 16_000_000  # bytes; a larger body is in the way of every queue, and waits beside it
_NEEDED = {  # a setting of a queue, the flag of Capabilities that it needs, and what is wanted with it
    "fifo": ("fifo", "keep order within message groups"),
    "delay": ("delay", "hide a message for a while after it was put"),
    "ttl": ("ttl", "give messages a time to live"),
}


def beside_bytes(broker: KnownBroker) -> int:
    """How large a body may be that travels in the broker's queue: beyond it, it waits beside, in `bodies`."""
    return min(broker.claims.max_body or LARGE_BODY, LARGE_BODY)


def keeps_bodies_here(project: Project, url: str, size: int) -> bool:
    """Whether a body of that size, put into this broker, waits in a folder that its other machines do not see."""
    broker = known_broker(url)
    if broker is None or size <= beside_bytes(broker) or _is_store(project.bodies):
        return False
    return not all(is_loopback(host) for host, _ in broker.address(url).hosts)


def check_fleet(project: Project) -> Iterator[Finding]:
    """Findings about `broker`, `database`, `bodies` and `url` of tables, and about what they cannot do for it."""
    yield from _check_broker(project)
    yield from _check_database(project)
    yield from _check_bodies(project)
    for name, table in project.tables.items():
        if table.url is not None:
            yield from _check_table(project, name, table.url)


def _check_broker(project: Project) -> Iterator[Finding]:
    if project.broker is None:
        return
    broker = known_broker(project.broker)
    if broker is None:
        near = _nearest_scheme(scheme_of(project.broker)) or _quoted(url_meant(project.broker))
        expected = one_of([f"{each}://" for each in schemes()], near)
        yield Finding(
            ("broker",), f"broker: {_kind(project.broker)} is no broker that millrace knows", expected, near=near
        )
        return
    if not broker.is_installed:
        yield Finding(("broker",), f"broker: {broker.title} needs the package {broker.package}", broker.install)
    variables = "the password in MILLRACE_BROKER_PASSWORD (and the user in MILLRACE_BROKER_USER), or `${env:NAME}`"
    yield from _check_secret(("broker",), project.broker, variables)
    yield from _check_claims(project, broker)
    try:
        address = broker.address(project.broker)
    except BrokerDenied as denied:
        yield Finding(("broker",), f"broker: {denied.problem}; {denied.hint}")
        return
    if not all(is_loopback(host) for host, _ in address.hosts):
        yield from _check_sharing(project, broker)


def _nearest_scheme(written: str) -> str:
    """The scheme that was meant, quoted, also by whoever wrote the broker's name in its place; empty for none."""
    meant = {each: each for each in schemes()} | {known.name: known.schemes[0] for known in known_brokers.KNOWN_BROKERS}
    near = nearest(written, meant).strip("'")
    return f"'{meant[near]}://'" if near else ""


def _check_claims(project: Project, broker: KnownBroker) -> Iterator[Finding]:
    for name, queue in project.queues.items():
        for setting, (feature, wanted) in _NEEDED.items():
            if getattr(queue, setting) and not getattr(broker.claims, feature):
                what = f"queues.{name}.{setting}: {broker.title} cannot {wanted}"
                yield Finding(("queues", name, setting), what, _one_that(feature))
    if broker.claims.fifo:
        return
    for name, function in project.functions.items():
        for index, event in enumerate(function.events):
            if isinstance(event, TableEvent):
                what = f"functions.{name} follows a table in order, and {broker.title} cannot keep order within groups"
                yield Finding(("functions", name, "events", index), what, _one_that("fifo"))


def _one_that(feature: str) -> str:
    return one_of(list(titles_that(feature)))


def _check_sharing(project: Project, broker: KnownBroker) -> Iterator[Finding]:
    """Warnings about what stays on each machine while the queue is everybody's."""
    if project.database is None:
        what = (
            "the broker is shared and the database is not: results, tables and what is done already are known "
            "on the machine where the function ran alone"
        )
        expected = "database: postgresql://HOST/NAME where there are several machines"
        yield Finding(("broker",), what, expected, severity="warning", at_key=True)
    largest = beside_bytes(broker)
    if project.gateway.max_body > largest and not _is_store(project.bodies):
        what = f"bodies beyond {largest:,} bytes wait in a folder, which other machines do not see"
        path: Path = ("broker",) if project.bodies is None else ("bodies",)
        yield Finding(path, what, "bodies: s3://BUCKET/PREFIX", severity="warning", at_key=project.bodies is None)
    for name, bucket in project.buckets.items():
        if not _is_store(bucket.url):
            what = f"buckets.{name} is a folder of each machine, while the broker is shared"
            yield Finding(("buckets", name, "url"), what, "s3://, gs:// or az://", severity="warning")


def _check_database(project: Project) -> Iterator[Finding]:
    if project.database is None:
        return
    if scheme_of(project.database) not in DATABASE_SCHEMES:
        what = f"database: {_kind(project.database)} is no database that millrace knows"
        near = _quoted(url_meant(project.database, DATABASE_PORTS))
        yield Finding(("database",), what, "postgresql://HOST:PORT/NAME", near=near)
        return
    if find_spec(DATABASE_PACKAGE) is None:
        what = f"database: PostgreSQL needs the package {DATABASE_PACKAGE}"
        yield Finding(("database",), what, "pip install 'millrace[postgres]'")
    yield from _check_secret(("database",), project.database, "the password in PGPASSWORD, or `${env:NAME}`")


def _check_bodies(project: Project) -> Iterator[Finding]:
    if project.bodies is None or "://" not in project.bodies:
        return
    if scheme_of(project.bodies) not in BUCKET_SCHEMES:
        expected = f"a folder, or a URL of {one_of(BUCKET_SCHEMES)}"
        yield Finding(("bodies",), f"bodies: {_kind(project.bodies)} is no bucket that millrace knows", expected)


def _check_table(project: Project, name: str, url: str) -> Iterator[Finding]:
    path: Path = ("tables", name, "url")
    if scheme_of(url) != TABLE_SCHEME:
        yield Finding(path, f"tables.{name}.url: {_kind(url)} is no database of a table", "dynamodb://REGION/TABLE")
        return
    if find_spec(TABLE_PACKAGE) is None:
        what = f"tables.{name}.url: DynamoDB needs the package {TABLE_PACKAGE}"
        yield Finding(path, what, "pip install 'millrace[dynamodb]'")
    if "@" in _authority(url):
        what = f"tables.{name}.url: credentials stand in the project file"
        yield Finding(path, what, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile", in_clear=True)
    if project.aws is not None:
        what = f"tables.{name}.url: `aws:` keeps the tables that its own DynamoDB shows"
        yield Finding(path, what, "no `url`, or no `aws:`")
    for function, config in project.functions.items():
        for index, event in enumerate(config.events):
            if isinstance(event, TableEvent) and event.table == name:
                what = (
                    f"functions.{function} follows table {name}, and the changes of one in DynamoDB are not seen here"
                )
                yield Finding(("functions", function, "events", index), what, f"tables.{name} without `url`")


def _check_secret(path: Path, url: str, instead: str) -> Iterator[Finding]:
    user_and_password = _authority(url).rpartition("@")[0]
    if ":" in user_and_password:
        what = f"{path[0]}: a password stands in the project file"
        yield Finding(path, what, instead, severity="warning", at_key=True, in_clear=True)


def _kind(url: str) -> str:
    scheme = scheme_of(url)
    return f"{scheme[:_SHOWN]}://" if scheme else "a text without a scheme"


def _quoted(text: str) -> str:
    return f"'{text}'" if text else ""


def _is_store(url: str | None) -> bool:
    return url is not None and "://" in url


def _authority(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # what is wrong with it is told where it is read whole
        return ""
