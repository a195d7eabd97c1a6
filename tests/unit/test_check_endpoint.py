"""What `check` says of the endpoint's keys, of memory that no process fits in, of concurrency that Lambda refuses."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.app.endpoint import check_keys, start_line
from millrace.config.aws import AwsConfig
from millrace.config.check import check
from millrace.config.schema import Project
from millrace.errors import MillraceError


def found(**sections: Any) -> list[tuple[str, str, str]]:
    project = Project.model_validate({"service": "x", **sections})
    return [(each.severity, ".".join(map(str, each.path)), each.what) for each in check(project)]


@pytest.mark.parametrize(
    ("aws", "path", "what"),
    [
        ({"host": "0.0.0.0"}, "aws.host", "AWS's API on 0.0.0.0 without keys"),
        ({"host": ""}, "aws.host", "AWS's API on every address without keys"),
        ({"host": "10.0.0.1", "keys": {"AK": "short"}}, "aws.keys.AK", "is shorter than 16 characters"),
    ],
)
def test_an_endpoint_that_others_could_use_is_a_fault_before_the_start_too(
    aws: dict[str, Any], path: str, what: str
) -> None:
    ((severity, where, told),) = found(aws=aws)
    assert (severity, where) == ("error", path)
    assert what in told
    assert "short" not in told.replace("shorter", "")
    with pytest.raises(MillraceError, match="Refused to serve"):
        check_keys(Project.model_validate({"service": "x", "aws": aws}).aws)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", ", region us-east-1): SQS"),
        ("0.0.0.0", ", region us-east-1), listening on 0.0.0.0 for requests signed with a key of the project: SQS"),
        ("", ", region us-east-1), listening on every address for requests signed with"),
    ],
)
def test_whoever_else_could_reach_it_is_said_at_the_start(host: str, said: str) -> None:
    assert said in start_line("http://127.0.0.1:8401", AwsConfig(host=host))


@pytest.mark.parametrize("aws", [{}, {"host": "localhost"}, {"host": "10.0.0.1", "keys": {"AK": "s" * 16}}])
def test_one_that_is_safe_is_not(aws: dict[str, Any]) -> None:
    assert found(aws=aws) == []


@pytest.mark.parametrize(
    ("function", "warned"),
    [
        ({"handler": "a.b", "memory": 63 << 20}, True),
        ({"handler": "a.b", "memory": 64 << 20}, False),
        ({"model": "a.B", "memory": 31 << 20}, True),
        ({"model": "a.B", "memory": 32 << 20}, False),
        ({"handler": "a.b"}, False),
    ],
)
def test_memory_that_no_process_fits_in(function: dict[str, Any], warned: bool) -> None:
    told = found(functions={"f": {**function, "events": [{"http": "POST /f"}]}})
    assert [each[:2] for each in told] == [("warning", "functions.f.memory")] * warned


@pytest.mark.parametrize(("concurrency", "asynchronous", "warned"), [(1, {}, True), (2, {}, False), (1, None, False)])
def test_a_concurrency_that_lambda_refuses(concurrency: int, asynchronous: Any, warned: bool) -> None:
    event = {"queue": "q", "concurrency": concurrency}
    function = {"handler": "a.b", "asynchronous": asynchronous, "events": [event]}
    told = found(queues={"q": {}}, functions={"f": function})
    assert [each[2] for each in told] == ["a maximum concurrency that Lambda refuses"] * warned
