"""Handlers that AWS's Powertools write, and handlers that settle their own messages, in one project that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from needs import needs_module

needs_module("aws_lambda_powertools", "moto", "boto3")

from pattern_parts import Site  # noqa: E402

from millrace.fixtures.running import RunningProject  # noqa: E402

PROJECT = """
service: shop
provider:
  name: aws
  runtime: python3.12
  region: eu-west-1
  timeout: 2
  environment: {POWERTOOLS_SERVICE_NAME: shop}
functions:
  batch:
    handler: app.batch
    events:
      - sqs: {arn: !GetAtt Orders.Arn, batchSize: 10, functionResponseType: ReportBatchItemFailures}
  steps:
    handler: app.steps
    events:
      - sqs: {arn: !GetAtt Steps.Arn, batchSize: 10, functionResponseType: ReportBatchItemFailures}
  pay:
    handler: app.pay
  own:
    handler: app.own
    events:
      - sqs: {arn: !GetAtt Own.Arn, batchSize: 1}
  hide:
    handler: app.hide
    events:
      - sqs: {arn: !GetAtt Hidden.Arn, batchSize: 1}
resources:
  Resources:
    Orders:
      Type: AWS::SQS::Queue
      Properties:
        QueueName: orders
        VisibilityTimeout: 2
        RedrivePolicy: {deadLetterTargetArn: !GetAtt OrdersDead.Arn, maxReceiveCount: 2}
    OrdersDead: {Type: AWS::SQS::Queue, Properties: {QueueName: orders-dead}}
    Steps:
      Type: AWS::SQS::Queue
      Properties: {QueueName: steps.fifo, FifoQueue: true, VisibilityTimeout: 2, ContentBasedDeduplication: true}
    Own: {Type: AWS::SQS::Queue, Properties: {QueueName: own, VisibilityTimeout: 2}}
    Hidden: {Type: AWS::SQS::Queue, Properties: {QueueName: hidden, VisibilityTimeout: 600}}
    Seen: {Type: AWS::SQS::Queue, Properties: {QueueName: seen}}
    SeenSteps:
      Type: AWS::SQS::Queue
      Properties: {QueueName: seen.fifo, FifoQueue: true}
    Paid:
      Type: AWS::DynamoDB::Table
      Properties:
        TableName: paid
        BillingMode: PAY_PER_REQUEST
        AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
        KeySchema: [{AttributeName: id, KeyType: HASH}]
"""
APP = """
import boto3
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor, EventType, SqsFifoPartialProcessor, process_partial_response,
)
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent

sqs = boto3.client("sqs")
orders, in_order = BatchProcessor(event_type=EventType.SQS), SqsFifoPartialProcessor()
paid = DynamoDBPersistenceLayer(table_name="paid")

def url(name):
    return sqs.get_queue_url(QueueName=name)["QueueUrl"]

def tell(body, name="seen", **members):
    sqs.send_message(QueueUrl=url(name), MessageBody=body, **members)

def order(record):
    if record.body == "poison" or (record.body == "late" and record.attributes.approximate_receive_count == "1"):
        raise ValueError(record.body)
    tell(record.body)

def step(record):
    first = record.attributes.approximate_receive_count == "1"
    if record.body == "2" and first:
        raise ValueError("not yet")
    group = record.attributes.message_group_id
    tell(record.body, "seen.fifo", MessageGroupId=group, MessageDeduplicationId=record.message_id)

def batch(event, context):
    return process_partial_response(event=event, record_handler=order, processor=orders, context=context)

def steps(event, context):
    return process_partial_response(event=event, record_handler=step, processor=in_order, context=context)

@idempotent(config=IdempotencyConfig(event_key_jmespath="order"), persistence_store=paid)
def pay(event, context):
    tell("paid " + event["order"])
    return {"paid": event["order"], "by": context.aws_request_id}

def own(event, context):
    (record,) = event["Records"]
    sqs.delete_message(QueueUrl=url("own"), ReceiptHandle=record["receiptHandle"])
    tell("own " + record["body"])
    if record["body"] == "then fails":
        raise ValueError("after it was deleted")

def hide(event, context):
    (record,) = event["Records"]
    times = record["attributes"]["ApproximateReceiveCount"]
    tell(f"hidden {times}")
    if times == "1":
        handle = record["receiptHandle"]
        sqs.change_message_visibility(QueueUrl=url("hidden"), ReceiptHandle=handle, VisibilityTimeout=3)
        raise ValueError("again in three seconds, not in ten minutes")
"""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    source = tmp_path_factory.mktemp("source")
    (source / "serverless.yml").write_text(PROJECT)
    (source / "app.py").write_text(APP)
    site = Site(RunningProject(source, tmp_path_factory.mktemp("run") / "project"))
    try:
        yield site
    finally:
        site.close()


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


def counts(site: Site, queue: str) -> tuple[int, int]:
    """How many wait, and how many are in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    asked = site.sqs.get_queue_attributes(QueueUrl=site.queue_url(queue), AttributeNames=names)["Attributes"]
    return int(asked[names[0]]), int(asked[names[1]])


def test_batch_processor(site: Site) -> None:
    site.send("orders", "good", "late", "poison", "better")
    assert sorted(bodies(site.receive("seen", 3))) == ["better", "good", "late"]
    (dead,) = site.receive("orders-dead", 1)
    assert dead["Body"] == "poison"
    assert dead["Attributes"]["DeadLetterQueueSourceArn"].endswith(":orders")
    assert counts(site, "orders") == (0, 0)


def test_sqs_fifo_partial_processor(site: Site) -> None:
    for number in range(5):
        site.sqs.send_message(QueueUrl=site.queue_url("steps.fifo"), MessageBody=str(number), MessageGroupId="g")
    assert bodies(site.receive("seen.fifo", 5)) == ["0", "1", "2", "3", "4"]
    site.until(lambda: counts(site, "steps.fifo") == (0, 0))


def test_idempotency(site: Site) -> None:
    def pay(order: str) -> Any:
        answer = site.client("lambda").invoke(FunctionName="shop-dev-pay", Payload=json.dumps({"order": order}))
        found = json.load(answer["Payload"])
        assert "FunctionError" not in answer, found
        return found

    first = pay("7")
    assert pay("7") == first
    other = pay("8")
    assert other["paid"] == "8"
    assert bodies(site.receive("seen", 2)) == ["paid 7", "paid 8"]
    items = site.client("dynamodb").scan(TableName="paid")["Items"]
    assert [item["status"]["S"] for item in items] == ["COMPLETED", "COMPLETED"]


def test_a_handler_that_deletes_its_own_messages(site: Site) -> None:
    site.send("own", "well", "then fails")
    assert sorted(bodies(site.receive("seen", 2))) == ["own then fails", "own well"]
    site.until(lambda: counts(site, "own") == (0, 0))
    # Longer than the visibility timeout: nothing comes again.
    assert "Messages" not in site.sqs.receive_message(QueueUrl=site.queue_url("seen"), WaitTimeSeconds=3)
    assert counts(site, "own") == (0, 0)


def test_a_handler_that_changes_its_messages_visibility(site: Site) -> None:
    began = time.monotonic()
    site.send("hidden", "x")
    assert bodies(site.receive("seen", 2)) == ["hidden 1", "hidden 2"]
    assert 2 < time.monotonic() - began < 60
    site.until(lambda: counts(site, "hidden") == (0, 0))
