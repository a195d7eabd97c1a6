"""docs/how-to/other-languages.md: its producer publishes to RabbitMQ, and the project beside it reads what it wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import needs_module
from terminal import Session, steps

from tests.services import service

needs_module("pika")
needs_module("grpc_tools")

import pika  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "other-languages.md"
QUEUES = ("task_queue", "task_queue.dead")
WAIT_S = 60.0


@pytest.fixture
def broker() -> Iterator[str]:
    """A RabbitMQ without the page's queues."""
    url = service("rabbitmq")
    _delete(url)
    yield url
    _delete(url)


def test_the_page_is_walked_through(broker: str, tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.places["amqp://localhost/"] = broker
    try:
        for kind, what, lines in steps(PAGE):
            if kind == "file":
                session.write(what, "".join(lines))
            elif "table scan" in what:
                _run_until_it_prints(session, what, lines)
            else:
                session.run(what, lines)
    finally:
        session.close()


def _run_until_it_prints(session: Session, command: str, lines: list[str]) -> None:
    """The row comes a moment after the function is ready."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            return session.run(command, lines)
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _delete(url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    for queue in QUEUES:
        connection.channel().queue_delete(queue)
    connection.close()
