"""docs/how-to/fleet.md: the project of `init` gets the page's stage and is walked, on RabbitMQ and PostgreSQL."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fleet_terminal import FleetSession
from terminal import plain, steps

from tests.services import service

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "fleet.md"
BROKER, DATABASE = "amqp://broker.internal/", "postgresql://db.internal/millrace"


def fenced(language: str, words: str) -> str:
    """The page's block of this language that has these words."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in found if words in block)


def words(text: str) -> str:
    """A text in one line, without the place in a file that it names."""
    return re.sub(r":\d+:\d+:", ":", " ".join(text.split()))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[FleetSession]:
    opened = FleetSession(tmp_path)
    yield opened
    opened.close()


def with_stage(session: FleetSession) -> None:
    """The page's stage is added to the project."""
    made = (session.folder / "millrace.yml").read_text()
    stages = fenced("yaml", "stages:").split("\n", 1)[1]
    for named, place in session.places.items():
        stages = stages.replace(named, place)
    session.write("millrace.yml", made + "\n" + stages)


def in_variables(session: FleetSession, url: str, user: str, password: str) -> str:
    """A URL without its user and password, which are put into the variables that the page names."""
    parts = urlsplit(url)
    session.environment |= {user: parts.username or "", password: parts.password or ""}
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@pytest.mark.timeout(400)
def test_the_page_is_walked_through(session: FleetSession) -> None:
    apart = secrets.token_hex(4)
    broker = in_variables(session, service("rabbitmq"), "MILLRACE_BROKER_USER", "MILLRACE_BROKER_PASSWORD")
    database = in_variables(session, service("postgres"), "PGUSER", "PGPASSWORD")
    session.places |= {BROKER: f"{broker}?prefix=doc{apart}.", DATABASE: f"{database}?schema=doc{apart}"}
    for _, command, lines in steps(PAGE):
        if command.startswith("millrace check"):
            with_stage(session)
        session.run(command, lines)


def test_a_forgotten_database_is_warned_of_as_shown(session: FleetSession) -> None:
    for command in ("millrace init hello my-app", "cd my-app"):
        session.run(command, [])
    with_stage(session)
    made = (session.folder / "millrace.yml").read_text()
    session.write("millrace.yml", re.sub(r"^ +database:.*\n", "", made, flags=re.MULTILINE))
    done = session.call(["millrace", "check", "--stage", "prod"])
    assert words(fenced("text", "warning:")) in words(done.stdout + done.stderr)


def test_a_broker_that_is_not_there_is_waited_for_as_shown(session: FleetSession) -> None:
    for command in ("millrace init hello my-app", "cd my-app"):
        session.run(command, [])
    gateway = session.start(["millrace", "gateway", "--broker", "amqp://127.0.0.1:1/"])
    gateway.until(["until then http://127.0.0.1:8400 answers 503"])
    shown = fenced("text", "waiting:").replace("broker.internal:5672", "127.0.0.1:1")
    assert plain(words(shown).replace("127.0.0.1:8400", "127.0.0.1:0")) in plain(words(gateway.raw))


def test_a_wrong_password_is_told_as_shown(session: FleetSession) -> None:
    for command in ("millrace init hello my-app", "cd my-app"):
        session.run(command, [])
    host = service("rabbitmq").rpartition("@")[2].rstrip("/")
    done = session.call(["millrace", "queues", "--broker", f"amqp://nobody:wrong@{host}/"])
    assert done.returncode == 1
    shown = fenced("text", "refused the user").replace("broker.internal:5672", host)
    assert words(shown) in words(done.stderr)
