"""The examples as they are, with nothing said but another broker: the same results as on the embedded queue.

Each example meets a broker or two in every run, and each broker examples of every sort. With MILLRACE_TEST_MATRIX set,
to whatever, every example meets every broker.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_parts import apart
from needs import needs_module
from pattern_checks import PATTERNS, SERVERLESS, ZAPPA
from pattern_parts import EXAMPLES, Site, copy, start_folder

from millrace import cli
from tests.services import service

pytestmark = pytest.mark.timeout(240)

ALWAYS = {
    "rabbitmq": ("digits", "image-labels", "partial-failures", "queue-to-queue"),
    "redis": ("api-key", "partial-failures", "stream-aggregate", "timer-to-csv", "zappa-sales-filter"),
    "nats": ("digits", "hello", "partial-failures", "timer-to-csv"),
    "sqs": ("api-key", "queue-to-queue", "stream-aggregate", "zappa-sales-filter"),
}
UNORDERED = {  # they cannot keep a table's changes in order
    "rabbitmq": ("RabbitMQ", "amqp://localhost"),
    "nats": ("NATS JetStream", "nats://localhost"),
    "kafka": ("Kafka", "kafka://localhost"),
}
ORDERED = "stream-aggregate"


def pairs() -> Iterator[tuple[str, str]]:
    """Which example meets which broker in this run."""
    every = bool(os.environ.get("MILLRACE_TEST_MATRIX"))
    for broker, chosen in ALWAYS.items():
        for name in PATTERNS if every else chosen:
            if name != ORDERED or broker not in UNORDERED:
                yield broker, name


@pytest.fixture(scope="module")
def own_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The AWS endpoint of another project: its SQS is a broker for the examples."""
    folder = tmp_path_factory.mktemp("endpoint")
    site = start_folder(copy("hello", SERVERLESS, folder / "source"), folder / "run")
    yield site.running.aws_url
    site.close()


def address(broker: str, request: pytest.FixtureRequest) -> str:
    """The broker's URL, under a prefix of this test's own."""
    if broker == "sqs":
        return apart(f"sqs://any:any@us-east-1?endpoint={request.getfixturevalue('own_endpoint')}")
    return apart(service(broker))


@pytest.mark.parametrize(("broker", "name"), list(pairs()))
def test_it_does_the_same_on_another_broker(
    broker: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pattern = PATTERNS[name]
    needs_module("moto", *(["flask", "apig_wsgi"] if pattern.form == ZAPPA else []))
    given = {each: request.getfixturevalue(each) for each in pattern.given}
    source = given["digits"] if name == "digits" else copy(name, pattern.form, tmp_path / "source")
    site = start_folder(source, tmp_path / "run", address(broker, request))
    try:
        pattern.check(site, *given.values())
    finally:
        site.close()
    assert embedded_queues(site) == []


def embedded_queues(site: Site) -> list[str]:
    """The queues that were made in the project's own folder."""
    with contextlib.closing(sqlite3.connect(site.running.folder / ".millrace" / "millrace.db")) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM queues")]


@pytest.mark.parametrize(("title", "url"), UNORDERED.values(), ids=UNORDERED)
@pytest.mark.parametrize("command", [("check", "--no-code"), ("up",)], ids=["check", "up"])
def test_a_stream_is_refused_by_brokers_that_keep_no_order(
    command: tuple[str, ...], title: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = EXAMPLES / "serverless" / ORDERED / SERVERLESS
    assert cli.run([*command, "--project", str(file), "--broker", url]) == 2
    captured = capsys.readouterr()
    (told,) = (line for line in (captured.out + captured.err).splitlines() if "follows a table in order" in line)
    place, _, what = told.partition(": ")
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "UserTable.StreamArn" in text)
    assert f"{SERVERLESS}:{line}:" in place
    assert f"{title} cannot keep order within groups" in what
    assert what.endswith("expected one of the embedded queue, Redis and Valkey, Amazon SQS")


def test_every_example_and_every_broker_is_among_them() -> None:
    served = {folder.name for folder in EXAMPLES.glob("serverless/*/")} | {"digits"}
    assert {name for chosen in ALWAYS.values() for name in chosen} == served
    assert all(len(chosen) >= 4 for chosen in ALWAYS.values())
