"""Queues of SQS: made, found, described, changed, tagged, emptied, deleted; and that they outlive the process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqs_parts import ACCOUNT, ORIGIN, REGION, Open, Refused, Sqs, memory, sqlite

from millrace.broker import Queue, dead_letters
from millrace.errors import ConfigError, UnknownQueue


@pytest.fixture(params=[memory, sqlite], ids=["memory", "sqlite"])
async def sqs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sqs]:
    opened: Open = request.param
    async with opened(tmp_path) as found:
        yield found


def arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def redrive(name: str, count: int | str = 2) -> str:
    return json.dumps({"deadLetterTargetArn": arn(name), "maxReceiveCount": count})


async def attributes(sqs: Sqs, url: str, *names: str) -> dict[str, str]:
    asked = list(names) or ["All"]
    return dict((await sqs.ask("GetQueueAttributes", QueueUrl=url, AttributeNames=asked)).get("Attributes", {}))


async def refused(sqs: Sqs, action: str, **members: Any) -> str:
    with pytest.raises(Refused) as found:
        await sqs.ask(action, **members)
    return found.value.code.removeprefix("AWS.SimpleQueueService.")


class TestCreate:
    async def test_every_attribute_of_a_new_queue(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        assert url == f"{ORIGIN}/{ACCOUNT}/jobs"
        assert await attributes(sqs, url) == {
            "QueueArn": arn("jobs"),
            "CreatedTimestamp": "1700000000",
            "LastModifiedTimestamp": "1700000000",
            "ApproximateNumberOfMessages": "0",
            "ApproximateNumberOfMessagesNotVisible": "0",
            "ApproximateNumberOfMessagesDelayed": "0",
            "VisibilityTimeout": "30",
            "DelaySeconds": "0",
            "MaximumMessageSize": "1048576",
            "MessageRetentionPeriod": "345600",
            "ReceiveMessageWaitTimeSeconds": "0",
            "SqsManagedSseEnabled": "true",
        }

    async def test_every_attribute_of_a_fifo_queue(self, sqs: Sqs) -> None:
        url = await sqs.queue("jobs.fifo")
        found = await attributes(sqs, url)
        assert {
            name: found[name] for name in sorted(found) if name not in await attributes(sqs, await sqs.queue())
        } == {
            "ContentBasedDeduplication": "false",
            "DeduplicationScope": "queue",
            "FifoQueue": "true",
            "FifoThroughputLimit": "perQueue",
        }

    async def test_twice_is_the_same_queue(self, sqs: Sqs) -> None:
        await sqs.queue(VisibilityTimeout=40)
        assert await sqs.queue(VisibilityTimeout=40) == await sqs.queue()
        assert await refused(sqs, "CreateQueue", QueueName="jobs", Attributes={"VisibilityTimeout": "41"}) == (
            "QueueAlreadyExists"
        )

    @pytest.mark.parametrize("name", ["", "a b", "a.b", "x" * 81, "a/b", "jobs.fifo", "é"])
    async def test_names_that_are_none(self, sqs: Sqs, name: str) -> None:
        assert await refused(sqs, "CreateQueue", QueueName=name) == "InvalidParameterValue"

    @pytest.mark.parametrize("name", ["jobs", ".fifo", "x" * 76 + ".fifo"])
    async def test_names_that_are_none_of_a_fifo_queue(self, sqs: Sqs, name: str) -> None:
        code = await refused(sqs, "CreateQueue", QueueName=name, Attributes={"FifoQueue": "true"})
        assert code == "InvalidParameterValue"

    @pytest.mark.parametrize(
        ("name", "value", "code"),
        [
            ("Colour", "red", "InvalidAttributeName"),
            ("QueueArn", "x", "InvalidAttributeName"),
            ("ContentBasedDeduplication", "true", "InvalidAttributeName"),
            ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
            ("VisibilityTimeout", "-1", "InvalidAttributeValue"),
            ("VisibilityTimeout", "soon", "InvalidAttributeValue"),
            ("VisibilityTimeout", "", "InvalidAttributeValue"),
            ("DelaySeconds", "901", "InvalidAttributeValue"),
            ("MaximumMessageSize", "1023", "InvalidAttributeValue"),
            ("MaximumMessageSize", "1048577", "InvalidAttributeValue"),
            ("MessageRetentionPeriod", "59", "InvalidAttributeValue"),
            ("MessageRetentionPeriod", "1209601", "InvalidAttributeValue"),
            ("ReceiveMessageWaitTimeSeconds", "21", "InvalidAttributeValue"),
            ("KmsDataKeyReusePeriodSeconds", "1", "InvalidAttributeValue"),
            ("SqsManagedSseEnabled", "yes", "InvalidAttributeValue"),
            ("Policy", "[1]", "InvalidAttributeValue"),
            ("Policy", "{", "InvalidAttributeValue"),
            ("RedrivePolicy", "{}", "InvalidParameterValue"),
            ("RedriveAllowPolicy", '{"redrivePermission": "some"}', "InvalidAttributeValue"),
            ("RedriveAllowPolicy", '{"redrivePermission": "byQueue"}', "InvalidAttributeValue"),
        ],
    )
    async def test_attributes_that_are_none(self, sqs: Sqs, name: str, value: str, code: str) -> None:
        assert await refused(sqs, "CreateQueue", QueueName="jobs", Attributes={name: value}) == code
        assert await sqs.ask("ListQueues") == {}
        url = await sqs.queue()
        assert await refused(sqs, "SetQueueAttributes", QueueUrl=url, Attributes={name: value}) == code

    async def test_throughput_per_group_needs_the_scope(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo")
        per_group = {"FifoThroughputLimit": "perMessageGroupId"}
        assert await refused(sqs, "SetQueueAttributes", QueueUrl=url, Attributes=per_group) == "InvalidAttributeValue"
        per_group["DeduplicationScope"] = "messageGroup"
        await sqs.ask("SetQueueAttributes", QueueUrl=url, Attributes=per_group)
        assert (await attributes(sqs, url, "FifoThroughputLimit")) == {"FifoThroughputLimit": "perMessageGroupId"}


class TestFind:
    async def test_url(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        assert await sqs.ask("GetQueueUrl", QueueName="jobs") == {"QueueUrl": url}
        assert await refused(sqs, "GetQueueUrl", QueueName="other") == "NonExistentQueue"

    async def test_a_url_copied_from_aws(self, sqs: Sqs) -> None:
        await sqs.queue()
        await sqs.send("https://sqs.us-east-1.amazonaws.com/999999999999/jobs")

    @pytest.mark.parametrize("url", ["jobs", "", "/"])
    async def test_what_is_no_url(self, sqs: Sqs, url: str) -> None:
        assert await refused(sqs, "DeleteQueue", QueueUrl=url) == "InvalidAddress"

    async def test_list_by_prefix_and_in_pages(self, sqs: Sqs) -> None:
        for name in ("b-1", "a-2", "a-1", "a-3"):
            await sqs.queue(name)
        urls = [f"{ORIGIN}/{ACCOUNT}/{name}" for name in ("a-1", "a-2", "a-3", "b-1")]
        assert await sqs.ask("ListQueues") == {"QueueUrls": urls}
        first = await sqs.ask("ListQueues", QueueNamePrefix="a-", MaxResults=2)
        assert first["QueueUrls"] == urls[:2]
        second = await sqs.ask("ListQueues", QueueNamePrefix="a-", MaxResults=2, NextToken=first["NextToken"])
        assert second == {"QueueUrls": urls[2:3]}
        assert await refused(sqs, "ListQueues", MaxResults=0) == "InvalidParameterValue"
        assert await refused(sqs, "ListQueues", NextToken="é") == "InvalidParameterValue"


class TestAttributes:
    async def test_counts(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        for body in "abc":
            await sqs.send(url, body)
        await sqs.send(url, "late", DelaySeconds=9)
        await sqs.receive(url, MaxNumberOfMessages=1)
        names = ["", "NotVisible", "Delayed"]
        found = await attributes(sqs, url, *(f"ApproximateNumberOfMessages{name}" for name in names))
        assert list(found.values()) == ["2", "1", "1"]

    async def test_none_asked_for_and_none_known(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        assert await sqs.ask("GetQueueAttributes", QueueUrl=url) == {}
        code = await refused(sqs, "GetQueueAttributes", QueueUrl=url, AttributeNames=["Colour"])
        assert code == "InvalidAttributeName"

    async def test_set(self, sqs: Sqs) -> None:
        url = await sqs.queue(DelaySeconds=5)
        sqs.clock.advance(10)
        await sqs.ask("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "7", "DelaySeconds": "0"})
        found = await attributes(sqs, url)
        assert (found["VisibilityTimeout"], found["DelaySeconds"]) == ("7", "0")
        assert (found["CreatedTimestamp"], found["LastModifiedTimestamp"]) == ("1700000000", "1700000010")
        await sqs.send(url)
        assert len(await sqs.receive(url)) == 1
        sqs.clock.advance(8)
        assert len(await sqs.receive(url)) == 1

    async def test_a_fifo_queue_stays_one(self, sqs: Sqs) -> None:
        url = await sqs.queue("a.fifo")
        code = await refused(sqs, "SetQueueAttributes", QueueUrl=url, Attributes={"FifoQueue": "true"})
        assert code == "InvalidAttributeValue"


class TestRedrive:
    async def test_received_too_often(self, sqs: Sqs) -> None:
        dead = await sqs.queue("dead")
        url = await sqs.queue(RedrivePolicy=redrive("dead", "2"))
        assert json.loads((await attributes(sqs, url, "RedrivePolicy"))["RedrivePolicy"]) == {
            "deadLetterTargetArn": arn("dead"),
            "maxReceiveCount": 2,
        }
        sent = await sqs.send(url, "poison")
        for _ in range(2):
            assert len(await sqs.receive(url)) == 1
            sqs.clock.advance(31)
        assert await sqs.receive(url) == []
        (letter,) = await sqs.receive(dead, AttributeNames=["All"])
        assert (letter["Body"], letter["MessageId"]) == ("poison", sent["MessageId"])
        assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn("jobs")
        assert letter["Attributes"]["SentTimestamp"] == "1700000000000"

    async def test_without_a_policy_it_comes_back_for_ever(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        for _ in range(20):
            assert len(await sqs.receive(url)) == 1
            sqs.clock.advance(31)

    async def test_taken_away(self, sqs: Sqs) -> None:
        dead = await sqs.queue("dead")
        url = await sqs.queue(RedrivePolicy=redrive("dead"))
        assert await sqs.ask("ListDeadLetterSourceQueues", QueueUrl=dead) == {"queueUrls": [url]}
        await sqs.ask("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": ""})
        assert await sqs.ask("ListDeadLetterSourceQueues", QueueUrl=dead) == {"queueUrls": []}
        assert await attributes(sqs, url, "RedrivePolicy") == {}

    async def test_policies_that_cannot_be(self, sqs: Sqs) -> None:
        await sqs.queue("dead")
        await sqs.queue("dead.fifo")
        url = await sqs.queue()
        for policy in (
            redrive("nowhere"),
            redrive("dead.fifo"),
            redrive("jobs"),
            redrive("dead", 0),
            redrive("dead", 1001),
        ):
            code = await refused(sqs, "SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": policy})
            assert code == "InvalidParameterValue", policy

    async def test_allowed_by_the_target(self, sqs: Sqs) -> None:
        allow = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn("friend")]})
        await sqs.queue("dead", RedriveAllowPolicy=allow)
        await sqs.queue("friend", RedrivePolicy=redrive("dead"))
        stranger = {"QueueName": "stranger", "Attributes": {"RedrivePolicy": redrive("dead")}}
        assert await refused(sqs, "CreateQueue", **stranger) == "InvalidParameterValue"

    async def test_the_dead_letter_queue_goes_and_comes_back(self, sqs: Sqs) -> None:
        dead = await sqs.queue("dead")
        url = await sqs.queue(RedrivePolicy=redrive("dead", 1))
        await sqs.ask("DeleteQueue", QueueUrl=dead)
        await sqs.ask("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
        await sqs.again().start([])
        assert json.loads((await attributes(sqs, url, "RedrivePolicy"))["RedrivePolicy"])["maxReceiveCount"] == 1
        await sqs.queue("dead")
        await sqs.send(url, "poison")
        await sqs.receive(url)
        sqs.clock.advance(2)
        assert await sqs.receive(url) == []
        assert [each["Body"] for each in await sqs.receive(dead)] == ["poison"]

    async def test_expired_messages_are_not_lost(self, sqs: Sqs) -> None:
        url = await sqs.queue(MessageRetentionPeriod=60)
        await sqs.send(url, "old")
        sqs.clock.advance(61)
        assert await sqs.receive(url) == []
        (letter,) = await sqs.broker.peek(dead_letters("jobs"))
        assert letter.message.body == b"old"
        assert letter.death is not None
        assert letter.death.reason == "expired"


class TestTags:
    async def test_life(self, sqs: Sqs) -> None:
        made = await sqs.ask("CreateQueue", QueueName="jobs", tags={"team": "a", "cost": "1"})
        url = made["QueueUrl"]
        await sqs.ask("TagQueue", QueueUrl=url, Tags={"team": "b", "new": ""})
        await sqs.ask("UntagQueue", QueueUrl=url, TagKeys=["cost", "nothing"])
        assert await sqs.ask("ListQueueTags", QueueUrl=url) == {"Tags": {"team": "b", "new": ""}}
        await sqs.ask("UntagQueue", QueueUrl=url, TagKeys=["team", "new"])
        assert await sqs.ask("ListQueueTags", QueueUrl=url) == {}

    async def test_limits(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        for tags in ({"": "x"}, {"aws:x": "x"}, {"x" * 129: "x"}, {"x": "y" * 257}, {f"t{n}": "" for n in range(51)}):
            assert await refused(sqs, "TagQueue", QueueUrl=url, Tags=tags) == "InvalidParameterValue"


class TestPermissions:
    async def test_added_and_removed(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        named = {"QueueUrl": url, "Label": "read", "AWSAccountIds": ["111111111111"], "Actions": ["ReceiveMessage"]}
        await sqs.ask("AddPermission", **named)
        policy = json.loads((await attributes(sqs, url, "Policy"))["Policy"])
        assert policy == {
            "Version": "2008-10-17",
            "Id": f"{arn('jobs')}/SQSDefaultPolicy",
            "Statement": [
                {
                    "Sid": "read",
                    "Effect": "Allow",
                    "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                    "Action": "SQS:ReceiveMessage",
                    "Resource": arn("jobs"),
                }
            ],
        }
        assert await refused(sqs, "AddPermission", **named) == "InvalidParameterValue"
        await sqs.ask("RemovePermission", QueueUrl=url, Label="read")
        assert await attributes(sqs, url, "Policy") == {}
        assert await refused(sqs, "RemovePermission", QueueUrl=url, Label="read") == "InvalidParameterValue"

    async def test_a_policy_that_was_written_by_hand(self, sqs: Sqs) -> None:
        """One statement without a list is a policy too, and so is one with nonsense in it."""
        url = await sqs.queue(Policy=json.dumps({"Statement": {"Sid": "own"}}))
        await sqs.ask("AddPermission", QueueUrl=url, Label="more", AWSAccountIds=["111111111111"], Actions=["*"])
        policy = json.loads((await attributes(sqs, url, "Policy"))["Policy"])
        assert [each["Sid"] for each in policy["Statement"]] == ["own", "more"]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"Actions": ["Fly"]}, "InvalidParameterValue"),
            ({"Actions": []}, "InvalidParameterValue"),
            ({"Actions": ["*"] * 8}, "OverLimit"),
            ({"AWSAccountIds": ["1"]}, "InvalidParameterValue"),
            ({"AWSAccountIds": []}, "InvalidParameterValue"),
            ({"Label": "a b"}, "InvalidParameterValue"),
        ],
    )
    async def test_limits(self, sqs: Sqs, change: dict[str, object], code: str) -> None:
        named = {"QueueUrl": await sqs.queue(), "Label": "x", "AWSAccountIds": ["111111111111"], "Actions": ["*"]}
        assert await refused(sqs, "AddPermission", **(named | change)) == code


class TestPurgeAndDelete:
    async def test_purge(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        await sqs.send(url, DelaySeconds=5)
        await sqs.ask("PurgeQueue", QueueUrl=url)
        sqs.clock.advance(10)
        assert await sqs.receive(url) == []
        assert await refused(sqs, "PurgeQueue", QueueUrl=url) == "PurgeQueueInProgress"
        sqs.clock.advance(60)
        await sqs.ask("PurgeQueue", QueueUrl=url)

    async def test_delete(self, sqs: Sqs) -> None:
        url = await sqs.queue()
        await sqs.send(url)
        await sqs.ask("DeleteQueue", QueueUrl=url)
        assert await refused(sqs, "DeleteQueue", QueueUrl=url) == "NonExistentQueue"
        assert await sqs.ask("ListQueues") == {}
        await sqs.queue()
        assert await sqs.receive(url) == []
        await sqs.ask("PurgeQueue", QueueUrl=url)

    async def test_the_projects_queues_stay(self, sqs: Sqs) -> None:
        await sqs.again().start([Queue("own")])
        assert await refused(sqs, "DeleteQueue", QueueUrl=f"{ORIGIN}/{ACCOUNT}/own") == "UnsupportedOperation"


class TestRestart:
    async def test_queues_made_through_the_api_come_back(self, sqs: Sqs) -> None:
        await sqs.queue("dead")
        url = await sqs.queue(VisibilityTimeout=7, RedrivePolicy=redrive("dead"))
        await sqs.ask("TagQueue", QueueUrl=url, Tags={"team": "a"})
        await sqs.send(url, "kept")
        before = await attributes(sqs, url)
        sqs.clock.advance(100)
        await sqs.again().start([])
        assert await attributes(sqs, url) == before
        assert await sqs.ask("ListQueueTags", QueueUrl=url) == {"Tags": {"team": "a"}}
        assert [each["Body"] for each in await sqs.receive(url)] == ["kept"]

    async def test_the_project_file_speaks_for_its_queues(self, sqs: Sqs) -> None:
        queues = [
            Queue("dead"),
            Queue("own", lease_s=90, max_receives=3, delay_s=2, ttl_s=600, dead_to="dead"),
            Queue("own.fifo", fifo=True),
        ]
        await sqs.again().start(queues, {"own": {"MaximumMessageSize": "2048"}})
        url = f"{ORIGIN}/{ACCOUNT}/own"
        found = await attributes(sqs, url)
        expected = {
            "VisibilityTimeout": "90",
            "DelaySeconds": "2",
            "MessageRetentionPeriod": "600",
            "MaximumMessageSize": "2048",
        }
        assert {name: found[name] for name in expected} == expected
        assert json.loads(found["RedrivePolicy"]) == {"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 3}
        await sqs.ask("TagQueue", QueueUrl=url, Tags={"a": "b"})
        await sqs.ask("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
        await sqs.again().start(queues)
        assert (await attributes(sqs, url, "VisibilityTimeout")) == {"VisibilityTimeout": "90"}
        assert await sqs.ask("ListQueueTags", QueueUrl=url) == {"Tags": {"a": "b"}}
        assert (await attributes(sqs, f"{url}.fifo", "FifoQueue")) == {"FifoQueue": "true"}
        await sqs.again().start([])  # taken out of the file
        assert await sqs.ask("ListQueues") == {}

    async def test_setting_one_thing_leaves_the_rest_of_a_declaration(self, sqs: Sqs) -> None:
        """What the project file says beyond SQS's words, such as half a second of lease, is not rounded off."""
        await sqs.again().start([Queue("own", lease_s=0.5, max_receives=1)])
        url = f"{ORIGIN}/{ACCOUNT}/own"
        await sqs.ask("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "0"})
        await sqs.send(url)
        await sqs.receive(url)
        sqs.clock.advance(0.6)
        assert await sqs.receive(url) == []
        assert len(await sqs.broker.peek(dead_letters("own"))) == 1

    async def test_attributes_that_are_none_are_told_at_start(self, sqs: Sqs) -> None:
        with pytest.raises(ConfigError, match="queue own: SQS has no attribute Colour"):
            await sqs.again().start([Queue("own")], {"own": {"Colour": "red"}})
        with pytest.raises(ConfigError, match="MaximumMessageSize cannot be '1'"):
            await sqs.again().start([Queue("own")], {"own": {"MaximumMessageSize": "1"}})


async def every_name(sqs: Sqs) -> list[str]:
    """ListQueues to its last page."""
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = await sqs.ask("ListQueues", MaxResults=1000, **token)
        names += page["QueueUrls"]
        if "NextToken" not in page:
            return names
        token = {"NextToken": page["NextToken"]}


async def test_thousands_of_queues(tmp_path: Path) -> None:
    async with memory(tmp_path) as sqs:
        for number in range(2000):
            await sqs.queue(f"q{number:05}")
        assert len(set(await every_name(sqs))) == 2000
        await sqs.again().start([])
        assert len(set(await every_name(sqs))) == 2000
        url = await sqs.queue("q04711")
        await sqs.send(url, "found")
        assert [each["Body"] for each in await sqs.receive(url)] == ["found"]
        assert await refused(sqs, "GetQueueUrl", QueueName="nobody") == "NonExistentQueue"
        with pytest.raises(UnknownQueue) as unknown:
            await sqs.broker.stats("nobody")
        assert len(str(unknown.value)) < 1000, "thousands of names are no hint"
