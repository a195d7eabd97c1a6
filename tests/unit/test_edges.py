"""What happens at the edges of small parts: bounds, damaged files, odd values."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from millrace.app.inside import Inside
from millrace.broker import Queue
from millrace.brokers.memory.queue import MemoryQueue
from millrace.config.reading import read_text
from millrace.config.tree import Node
from millrace.flow.destinations import _event_seen
from millrace.flow.hints import hint
from millrace.flow.mapping import Mapping
from millrace.flow.sinks import _key_value
from millrace.formats.cloudformation.cors import cors_of_http, cors_of_rest
from millrace.formats.sam import cache
from millrace.formats.serverless.variables import files
from millrace.formats.serverless.variables.answers import Missing
from millrace.source import EVENT_ATTRIBUTE
from millrace.types import Accepted, Failure, Lease, Message
from millrace.wire import Spec

SPEC = Spec("f", "handler", "app.f", "/", 3.0, 0, 1)


def node(text: str) -> Node:
    found = read_text(text, "file.yml", [])
    assert found is not None
    return found


def test_dedupe_keys_that_are_over_are_forgotten() -> None:
    queue = MemoryQueue(Queue("q", dedupe_s=1.0))
    for number in range(4):
        queue.remember_first(f"key {number}", Accepted(str(number)), 10.0 * number)
    assert len(queue._firsts) < 4


def test_a_module_that_a_pickle_wants() -> None:
    failure = Failure("ModuleNotFoundError", "No module named 'helper.text'", "  model = pickle.load(file)")
    assert hint(failure).startswith("a pickle wants the module helper.text: put helper beside the code")


def test_an_event_that_is_none_is_told_as_its_text() -> None:
    lease = Lease("q", Message("a", b"{", {EVENT_ATTRIBUTE: "schedule"}), "a", 1, 0.0)
    assert _event_seen(lease, SPEC, "r", 0.0) == "{"


def test_a_mapping_without_a_filter_accepts_all() -> None:
    assert Mapping().accepts(Lease("q", Message("a"), "a", 1, 0.0)) is True


def test_a_part_of_a_key_that_no_table_has_is_its_json() -> None:
    assert _key_value([1, 2]) == {"S": "[1,2]"}


def test_cors_of_an_http_api() -> None:
    said = "{allowMethods: ['*'], allowOrigins: [https://a.example], allowCredentials: true, maxAge: 5}"
    found = cors_of_http(node(said))
    assert found is not None
    assert (set(found), found["credentials"]) == ({"origins", "credentials", "max_age"}, True)


def test_cors_of_a_rest_api() -> None:
    prefix = "method.response.header.Access-Control-"
    said = {"Allow-Origin": "'*'", "Allow-Credentials": "'true'", "Max-Age": "'600'", "Allow-Headers": "'A,B'"}
    lines = "".join(f'        "{prefix}{name}": "{value}"\n' for name, value in said.items())
    options = node("x-amazon-apigateway-integration:\n  responses:\n    default:\n      responseParameters:\n" + lines)
    assert cors_of_rest(options) == {"origins": ["*"], "headers": ["A", "B"], "credentials": True, "max_age": 600}


def test_a_translation_is_kept_only_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = {"Resources": {"A": {}}}
    cache.keep(tmp_path, "key", template)
    assert cache.kept(tmp_path, "key") is None
    (tmp_path / ".millrace").mkdir()
    circle: dict[str, Any] = {"Resources": {}}
    circle["Resources"]["self"] = circle
    cache.keep(tmp_path, "key", circle)
    assert list((tmp_path / ".millrace").iterdir()) == []
    cache.keep(tmp_path, "key", template)
    assert cache.kept(tmp_path, "key") == template

    def absent(name: str) -> str:
        raise cache.PackageNotFoundError(name)

    monkeypatch.setattr(cache, "version", absent)
    assert cache.key_of({}, {}, "us-east-1") == ""


def test_files_of_variables_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = files.Files(tmp_path, [])
    (tmp_path / "large.txt").write_text("x" * 20)
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    large = reader._load(tmp_path / "large.txt")
    assert isinstance(large, Missing)
    gone = reader._load(tmp_path / "gone.txt")
    assert isinstance(gone, Missing)
    monkeypatch.setattr(files, "MAX_FILES", 0)
    many = reader._load(tmp_path / "large.txt")
    assert isinstance(many, Missing)


async def test_a_debugged_replica_that_is_let_go_of_ends_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended: asyncio.Queue[int] = asyncio.Queue()
    child = Inside(str(tmp_path), {}, ended.put_nowait)
    assert child.pid > 0
    child.kill()
    child.kill()
    assert await ended.get() == -9
    child.connection.close()
    await asyncio.sleep(0)
    assert ended.empty()


def test_what_is_wrong_with_a_table() -> None:
    from test_contribute import woven

    _, keyless = woven("T: {Type: AWS::DynamoDB::Table, Properties: {TableName: t}}")
    assert any("has no key" in each for each in keyless)
    key = "KeySchema: [{AttributeName: id, KeyType: HASH}]"
    _, odd = woven(
        f"""
        T:
          Type: AWS::DynamoDB::Table
          Properties: {{TableName: t, {key}, StreamSpecification: {{StreamViewType: ALL}}}}
        F: {{Type: AWS::Lambda::Function, Properties: {{Handler: app.main, Runtime: python3.12, Code: src}}}}
        M:
          Type: AWS::Lambda::EventSourceMapping
          Properties: {{FunctionName: !Ref F, EventSourceArn: !GetAtt T.StreamArn, StartingPosition: LATEST}}
        """
    )
    assert any("StreamViewType" in each and "expected one of" in each for each in odd), odd
