"""SIGKILL of `millrace up` while many clients use its SQS: what they were told is so, life after life."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from needs import needs_module

needs_module("boto3")

import boto3  # noqa: E402
from sqs_load import ONCE, SETTINGS, Load  # noqa: E402
from up_parts import running  # noqa: E402

PROJECT = """
service: shop
gateway: {port: 0}
aws: {port: 0}
"""
LIVES = 5


@pytest.mark.timeout(300)
def test_what_sqs_was_told_survives_kills_under_load(tmp_path: Path) -> None:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    load, choose = Load(), random.Random(7)
    for life in range(LIVES):
        with running(tmp_path) as up:
            if not life:
                load.prepare(boto3.client("sqs", config=ONCE, **up.client))
            enough = choose.randint(60, 400)
            load.run(up.client, up.kill, lambda answers, enough=enough: answers >= enough)
    with running(tmp_path) as up:
        _check(load, boto3.client("sqs", config=ONCE, **up.client))


def _check(load: Load, sqs: Any) -> None:
    left = load.drained(sqs, "plain")
    assert len(left) == len(set(left))
    assert not load.deleted & set(left), "what was deleted came back"
    assert load.sent.keys() - load.deleting <= set(left), "what was sent is missing"
    assert len(load.sent) > 100, "the load was none"
    for text in load.drained(sqs, "order.fifo"):
        group, _, number = text.partition(" ")
        load.follows(group, int(number))
        load.done[group] = int(number)
    for group, expected in load.next.items():
        assert load.done[group] in (expected - 1, expected), f"group {group} ends at {load.done[group]}, not {expected}"
    load.count_receives(sqs)
    poison = load.drained(sqs, "poison") + load.drained(sqs, "letters") + load.drained(sqs, "poison")
    assert len(poison) == len(set(poison)), "a redrive doubled a message"
    assert load.poison <= set(poison), "a redrive lost a message"
    assert load.queues, "no queue was made"
    for name, tags in load.queues.items():
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == tags
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[*SETTINGS])["Attributes"]
        assert found == SETTINGS
