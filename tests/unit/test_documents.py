"""Templates as text: short tags, JSON, limits; and the builders and names that every format's reader uses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.config.faults import Fault, Place
from millrace.config.tree import Node
from millrace.formats.arns import parse_arn
from millrace.formats.documents import read_document
from millrace.formats.nodes import append, mapping, put, text


def read(written: str) -> Any:
    faults: list[Fault] = []
    found = read_document(written.encode(), "template.yaml", faults)
    assert not faults
    assert found is not None
    return found.plain()


def faults_of(written: str | bytes) -> list[str]:
    faults: list[Fault] = []
    read_document(written if isinstance(written, bytes) else written.encode(), "template.yaml", faults)
    return [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref Queue", {"Ref": "Queue"}),
        ("!Condition IsProd", {"Condition": "IsProd"}),
        ("!GetAtt Queue.Arn", {"Fn::GetAtt": ["Queue", "Arn"]}),
        ("!GetAtt Nested.Outputs.Url", {"Fn::GetAtt": ["Nested", "Outputs.Url"]}),
        ("!GetAtt [Queue, Arn]", {"Fn::GetAtt": ["Queue", "Arn"]}),
        ("!Sub '${AWS::StackName}-x'", {"Fn::Sub": "${AWS::StackName}-x"}),
        ("!Join ['-', [a, !Ref B]]", {"Fn::Join": ["-", ["a", {"Ref": "B"}]]}),
        ("!If [C, {a: !Ref A}, !Ref AWS::NoValue]", {"Fn::If": ["C", {"a": {"Ref": "A"}}, {"Ref": "AWS::NoValue"}]}),
        ("!Transform {Name: x}", {"Fn::Transform": {"Name": "x"}}),
        ("!GetAZs ''", {"Fn::GetAZs": ""}),
        ("!Base64 12", {"Fn::Base64": "12"}),
        ("!Select [0, !Split [',', 'a,b']]", {"Fn::Select": [0, {"Fn::Split": [",", "a,b"]}]}),
    ],
)
def test_short_tags_become_long_forms(short: str, long: Any) -> None:
    assert read(f"a: {short}") == {"a": long}


def test_variables_of_other_tools_stay_as_they_are() -> None:
    assert read("a: ${self:custom.x}\nb: ${env:HOME, 4}") == {"a": "${self:custom.x}", "b": "${env:HOME, 4}"}


def test_account_ids_and_dates_stay_text() -> None:
    found = read("AWSTemplateFormatVersion: 2010-09-09\naccount: 012345678901\nsize: 10\nzero: 0\nratio: 0.5")
    expected = {"AWSTemplateFormatVersion": "2010-09-09", "account": "012345678901", "size": 10, "zero": 0}
    assert found == expected | {"ratio": 0.5}


def test_json_with_tabs_and_escapes() -> None:
    assert read('{\n\t"a": "\\ud83d\\ude00\\/\\u00e9",\n\t"b":\t[1, null, true]\n}') == {
        "a": "😀/é",
        "b": [1, None, True],
    }


def test_values_know_their_places() -> None:
    found = read_document(b"a:\n  b: !Ref X\n", "t.yaml", [])
    assert found is not None
    inner = found.value["a"].value["b"]
    assert inner.key_place == Place("t.yaml", 2, 3)
    assert inner.value["Ref"].place == Place("t.yaml", 2, 6)


def test_a_misspelt_tag_is_a_fault_with_the_nearest() -> None:
    assert faults_of("a: !Reff X") == [
        "template.yaml:1:4: the tag !Reff is none of CloudFormation's; did you mean '!Ref'?"
    ]


def test_what_is_no_document_is_a_fault() -> None:
    assert "not YAML" in faults_of("a: [")[0]
    assert "not UTF-8" in faults_of(b"\xff\xfe")[0]
    assert "already there" in faults_of("a: 1\na: 2")[0]
    assert "too large" in faults_of("a: " + "x" * 1_100_000)[0]
    assert "nested too deeply" in faults_of("[" * 80 + "]" * 80)[0]
    assert "nested too deeply" in faults_of("!Join [" * 80 + "]" * 80)[0]
    assert "no meaning" in faults_of("a: !!set {x}")[0]
    assert faults_of("") == []


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=9))
def test_any_json_is_read_as_json_reads_it(value: Any) -> None:
    assert read(json.dumps({"a": value})) == {"a": value}


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    read_document(data, "t", [])


AT = Node("x", Place("t.yaml", 3, 7), Place("t.yaml", 3, 1))


def test_what_is_put_stands_where_it_came_from() -> None:
    tree = mapping(Place("t.yaml", 1, 1))
    put(tree, ["queues", "jobs", "lease"], 30, AT)
    put(tree, ["queues", "jobs", "attributes"], {"a": [1, text("b", AT)]}, AT)
    append(tree, ["functions", "f", "events"], {"queue": "jobs"}, AT)
    append(tree, ["functions", "f", "events"], {"queue": "more"}, AT)
    assert tree.plain() == {
        "queues": {"jobs": {"lease": 30, "attributes": {"a": [1, "b"]}}},
        "functions": {"f": {"events": [{"queue": "jobs"}, {"queue": "more"}]}},
    }
    assert tree.value["queues"].value["jobs"].value["lease"].place == AT.place


@pytest.mark.parametrize(
    ("written", "service", "kind", "name"),
    [
        ("arn:aws:sqs:us-east-1:000000000000:jobs.fifo", "sqs", "", "jobs.fifo"),
        ("arn:aws:lambda:us-east-1:000000000000:function:hello:live", "lambda", "function", "hello"),
        (
            "arn:aws:dynamodb:us-east-1:000000000000:table/pets/stream/2020-01-01T00:00:00.000",
            "dynamodb",
            "table",
            "pets",
        ),
        ("arn:aws:s3:::pets/incoming/*", "s3", "", "pets"),
        ("arn:aws:sns:us-east-1:000000000000:news", "sns", "", "news"),
        ("arn:aws:events:us-east-1:000000000000:event-bus/shop", "events", "event-bus", "shop"),
        ("arn:aws:events:us-east-1:000000000000:rule/shop/nightly", "events", "rule", "nightly"),
        ("arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/hello:*", "logs", "log-group", "/aws/lambda/hello"),
        ("arn:aws:ssm:us-east-1:000000000000:parameter/app/key", "ssm", "parameter", "/app/key"),
    ],
)
def test_names_in_arns(written: str, service: str, kind: str, name: str) -> None:
    found = parse_arn(written)
    assert found is not None
    assert (found.service, found.kind, found.name, str(found)) == (service, kind, name, written)


@pytest.mark.parametrize("written", ["", "jobs", "arn:aws:sqs", "arn:aws::r:a:x", "arn:aws:sqs:r:a:", "urn:a:b:c:d:e"])
def test_what_is_no_arn(written: str) -> None:
    assert parse_arn(written) is None
