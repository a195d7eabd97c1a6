"""DynamoDB as moto plays it, in a thread of the test."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tests.needs import needs_module

needs_module("boto3", "moto")

REGION = "eu-west-1"


@contextmanager
def dynamodb() -> Iterator[str]:
    """An endpoint's URL, and credentials in the environment."""
    from moto.dynamodb import models
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        # moto copies every table at each transaction, to undo it; that takes seconds, and nothing here is undone.
        patch.setattr(models, "copy", SimpleNamespace(copy=copy.copy, deepcopy=copy.copy))
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        host, port = server.get_host_and_port()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def fresh_url(endpoint: str) -> str:
    """The URL of a table that is not there yet."""
    return f"dynamodb://{REGION}/test_{secrets.token_hex(6)}?endpoint={endpoint}"
