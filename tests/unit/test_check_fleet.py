"""What `millrace check` says of a broker, a database and bodies elsewhere, without a connection and without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace import known_brokers
from millrace.broker import Capabilities
from millrace.config import fleet
from millrace.config.faults import refusal
from millrace.config.load import examine
from millrace.known_brokers import KnownBroker

ABLE = Capabilities(durable=True, transactional=False, fifo=True, delay=True, ttl=True, dedupe=True, shared=True)
PLAIN = Capabilities(
    durable=True,
    transactional=False,
    fifo=False,
    delay=False,
    ttl=False,
    dedupe=False,
    shared=True,
    max_body=1000,
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two brokers of this test's own: their packages are there."""
    kinds = (
        KnownBroker("able", "Able", {"able": 1, "ables": 2}, "json", "able", ABLE),
        KnownBroker("unadorned", "Plain", {"plain": 3}, "json", "plain", PLAIN),
        KnownBroker("absent", "Absent", {"absent": 4}, "no_such_package", "absent", ABLE),
    )
    monkeypatch.setattr(known_brokers, "KNOWN_BROKERS", kinds)


def told(folder: Path, text: str, **how: Any) -> tuple[list[str], list[str]]:
    """Faults and warnings of a project file, each with the line on which it stands."""
    (folder / "millrace.yml").write_text(text)
    found = examine(folder / "millrace.yml", **how)
    faults, warnings = ([f"{each.place.line}: {each.text}" for each in kind] for kind in (found.faults, found.warnings))
    return faults, warnings


def test_a_broker_of_this_machine_needs_no_warning(tmp_path: Path) -> None:
    for url in ("able://", "able://localhost:5672/", "ables://127.0.0.1,[::1]:1/x?prefix=a.", "ABLE://user@localhost"):
        assert told(tmp_path, f"service: x\nbroker: {url}\nbuckets: {{lake: {{url: ./lake}}}}\n") == ([], []), url


@pytest.mark.parametrize("key", ["broker", "database"])
def test_what_an_option_overrides_is_told_of_the_option(key: str, tmp_path: Path) -> None:
    (tmp_path / "millrace.yml").write_text("service: x\n")
    (fault,) = examine(tmp_path, overrides=[f'{key}="nosuch://host"']).faults
    assert str(refusal([fault])).startswith("the options have 1 fault\n")
    assert str(fault).startswith(f"--{key}: nosuch:// is no {key} that millrace knows; expected ")


def test_the_name_of_a_broker_is_no_scheme_but_near_to_one(tmp_path: Path) -> None:
    for written in ("unadorned", "unadornd", "plane"):
        faults, _ = told(tmp_path, f"service: x\nbroker: {written}://host\n")
        assert faults[0].endswith("did you mean 'plain://'?")


def test_an_unknown_broker_names_those_that_are_known(tmp_path: Path) -> None:
    faults, _ = told(tmp_path, "service: x\nbroker: abel://me:secret@host\n")
    assert faults == [
        "2: broker: abel:// is no broker that millrace knows; expected one of able://, ables://, plain://, absent://; "
        "did you mean 'able://'?"
    ]
    faults, _ = told(tmp_path, "service: x\nbroker: me:secret@host\n")
    assert "a text without a scheme" in faults[0]
    assert "secret" not in faults[0]


def test_an_address_without_a_scheme_is_told_whose_usual_port_it_has(tmp_path: Path) -> None:
    faults, _ = told(tmp_path, "service: x\nbroker: plain:4\n")
    assert faults[0].endswith("; did you mean 'absent://plain:4'?")
    faults, _ = told(tmp_path, "service: x\nbroker: me:secret@host:4\n")
    assert faults[0].endswith("; did you mean 'absent://USER:PASSWORD@HOST:4'?")
    faults, _ = told(tmp_path, "service: x\ndatabase: localhost:5432/pets\n")
    assert faults[0].endswith("expected postgresql://HOST:PORT/NAME; did you mean 'postgresql://localhost:5432/pets'?")


def test_a_library_that_is_missing_is_told_with_its_command(tmp_path: Path) -> None:
    faults, _ = told(tmp_path, "service: x\nbroker: absent://localhost\n")
    assert faults == ["2: broker: Absent needs the package no_such_package; expected pip install 'millrace[absent]'"]


def test_a_password_in_the_file_is_doubtful_and_not_shown(tmp_path: Path) -> None:
    faults, warnings = told(tmp_path, "service: x\nbroker: able://me:secret@localhost\n")
    assert faults == []
    assert len(warnings) == 1
    assert "MILLRACE_BROKER_PASSWORD" in warnings[0]
    assert "secret" not in warnings[0]


def test_a_password_out_of_a_variable_is_as_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    text = "service: x\nbroker: able://me:${env:SECRET}@localhost\n"
    assert told(tmp_path, text) == ([], [])
    assert told(tmp_path, "service: x\n", overrides=['broker="able://me:secret@localhost"']) == ([], [])


def test_what_a_broker_cannot_do_is_told_at_the_queue(tmp_path: Path) -> None:
    text = """\
service: x
broker: plain://localhost
tables: {rows: {}}
queues:
  images:
    fifo: true
    ttl: 10s
    delay: 1s
functions:
  follow:
    handler: app.handler
    events:
      - table: rows
"""
    faults, _ = told(tmp_path, text)
    who = "expected one of the embedded queue, Able, Absent"
    assert faults == [
        f"6: queues.images.fifo: Plain cannot keep order within message groups; {who}",
        f"7: queues.images.ttl: Plain cannot give messages a time to live; {who}",
        f"8: queues.images.delay: Plain cannot hide a message for a while after it was put; {who}",
        f"13: functions.follow follows a table in order, and Plain cannot keep order within groups; {who}",
    ]
    assert told(tmp_path, text.replace("plain:", "able:")) == ([], [])


def test_what_stays_on_each_machine_is_told(tmp_path: Path) -> None:
    text = "service: x\nbroker: plain://broker\nbuckets:\n  lake: {url: ./lake}\n  far: {url: s3://b/p}\n"
    faults, warnings = told(tmp_path, text)
    assert faults == []
    assert [warning.partition(";")[0] for warning in warnings] == [
        "2: the broker is shared and the database is not: results, tables and what is done already are known on the "
        "machine where the function ran alone",
        "2: bodies beyond 1,000 bytes wait in a folder, which other machines do not see",
        "4: buckets.lake is a folder of each machine, while the broker is shared",
    ]
    text = "service: x\nbroker: plain://broker\ndatabase: postgresql://db/x\nbodies: s3://b/bodies\n"
    assert told(tmp_path, text) == ([], [])
    _, warnings = told(tmp_path, text.replace("s3://b/", "./"))
    assert [warning.partition(";")[0] for warning in warnings] == [
        "4: bodies beyond 1,000 bytes wait in a folder, which other machines do not see"
    ]


def test_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults, _ = told(tmp_path, "service: x\ndatabase: mysql://me:secret@db/x\n")
    assert faults == ["2: database: mysql:// is no database that millrace knows; expected postgresql://HOST:PORT/NAME"]
    _, warnings = told(tmp_path, "service: x\ndatabase: postgres://me:secret@db/x\n")
    assert len(warnings) == 1
    assert "PGPASSWORD" in warnings[0]
    monkeypatch.setattr(fleet, "find_spec", lambda _: None)
    faults, _ = told(tmp_path, "service: x\ndatabase: postgresql://db/x\n")
    assert faults == ["2: database: PostgreSQL needs the package psycopg; expected pip install 'millrace[postgres]'"]


def test_bodies(tmp_path: Path) -> None:
    assert told(tmp_path, "service: x\nbodies: ./bodies\n") == ([], [])
    faults, _ = told(tmp_path, "service: x\nbodies: ftp://host/x\n")
    assert "ftp:// is no bucket that millrace knows" in faults[0]


@pytest.mark.parametrize(
    ("url", "problem", "advice"),
    [
        ("able://[::1", "cannot be read", "expected able://USER:PASSWORD@HOST:PORT/"),
        ("able://me@host?colour=red", "unknown option 'colour'", "known are: prefix"),
        ("able://me@host:port", "names a host 'host:port'", "expected host or host:port"),
    ],
)
def test_a_brokers_url_that_cannot_be_read_is_told_with_its_line(
    url: str, problem: str, advice: str, tmp_path: Path
) -> None:
    (fault,), warnings = told(tmp_path, f'service: x\nbroker: "{url}"\n')
    assert fault.startswith("2: broker: the broker's URL ")
    assert problem in fault
    assert advice in fault
    assert warnings == []


def test_a_databases_url_that_cannot_be_read_is_left_to_the_adapter(tmp_path: Path) -> None:
    assert told(tmp_path, 'service: x\ndatabase: "postgresql://[::1"\n') == ([], [])


def test_a_table_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "service: x\ntables:\n  pets: {url: 'dynamodb://eu-west-1/pets'}\n  rows: {}\n"
    assert told(tmp_path, text) == ([], [])
    faults, _ = told(tmp_path, text.replace("dynamodb", "mongodb"))
    assert faults == [
        "3: tables.pets.url: mongodb:// is no database of a table; expected dynamodb://REGION/TABLE",
    ]
    faults, _ = told(tmp_path, text.replace("//eu", "//key:hidden@eu"))
    assert len(faults) == 1
    assert "AWS_ACCESS_KEY_ID" in faults[0]
    assert "hidden" not in faults[0]
    faults, _ = told(tmp_path, text + "aws: {}\n")
    assert faults == [
        "3: tables.pets.url: `aws:` keeps the tables that its own DynamoDB shows; expected no `url`, or no `aws:`"
    ]
    followers = "functions:\n  f:\n    handler: app.f\n    events:\n      - table: pets\n  g:\n    handler: app.g\n"
    faults, _ = told(tmp_path, text + followers + "    events: [{table: rows}]\n")
    assert faults == [
        "9: functions.f follows table pets, and the changes of one in DynamoDB are not seen here; "
        "expected tables.pets without `url`"
    ]
    monkeypatch.setattr(fleet, "find_spec", lambda _: None)
    faults, _ = told(tmp_path, text)
    assert faults == [
        "3: tables.pets.url: DynamoDB needs the package botocore; expected pip install 'millrace[dynamodb]'"
    ]
