"""Sample events: each source gives one, the same for the same words, and a body that cannot be is refused."""

from __future__ import annotations

import json

import pytest

from millrace import cli
from millrace.aws.samples import ALIASES, SOURCES, Sample, sample


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_words_give_the_same_event(source: str) -> None:
    given = Sample(body='{"id": "7"}', name="things", region="eu-west-1", account="123456789012")
    event = sample(source, given)
    assert event == sample(source, given)
    assert json.loads(json.dumps(event)) == event


def test_what_was_given_is_in_the_event() -> None:
    (record,) = sample("queue", Sample(body="hello", name="things", region="eu-west-1"))["Records"]
    assert (record["body"], record["eventSourceARN"]) == ("hello", "arn:aws:sqs:eu-west-1:000000000000:things")
    (record,) = sample("removed", Sample(key="a b.jpg", name="lake"))["Records"]
    assert record["s3"]["object"]["key"] == "a+b.jpg"
    assert "size" not in record["s3"]["object"]
    event = sample("rest", Sample(method="GET", name="/labels"))
    assert (event["httpMethod"], event["path"], event["resource"], event["body"]) == ("GET", "/labels", "/labels", None)


def test_aliases_name_sources() -> None:
    assert set(ALIASES.values()) <= set(SOURCES)


@pytest.mark.parametrize("source", ["table", "bus"])
def test_a_body_that_the_source_cannot_have(source: str) -> None:
    with pytest.raises(ValueError, match=r"expected .* as a JSON object"):
        sample(source, Sample(body="[1]"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["event", "sqs", "--body", "hi"], 0, '"body": "hi"'),
        (["event", "sq"], 1, "no source 'sq'; did you mean 'sqs'?"),
        (["event", "dynamodb", "--body", "hi"], 1, "--body: expected a row as a JSON object"),
    ],
)
def test_the_command(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
