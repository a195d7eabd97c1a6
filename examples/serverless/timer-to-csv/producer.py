"""Dynamo to SQS: what is in a table becomes messages, every time the timer fires."""

import json
import logging

import boto3

DYNAMODB = boto3.resource("dynamodb")
TABLE = "fang"
QUEUE = "producer"
SQS = boto3.client("sqs")

LOG = logging.getLogger()
LOG.setLevel(logging.INFO)


def scan_table(table):
    """Scans table and returns its items."""
    items = DYNAMODB.Table(table).scan()["Items"]
    LOG.info(f"Found {len(items)} items in {table}")
    return items


def send_sqs_msg(msg, queue_name, delay=0):
    """Sends a dictionary as JSON to a queue that is known by name."""
    queue_url = SQS.get_queue_url(QueueName=queue_name)["QueueUrl"]
    response = SQS.send_message(QueueUrl=queue_url, MessageBody=json.dumps(msg), DelaySeconds=delay)
    LOG.info(f"Message response: {response['MessageId']} for queue url: {queue_url}")
    return response


def lambda_handler(event, context):
    LOG.info(f"event {event}, context {context}", extra={"table": TABLE, "queue": QUEUE})
    for item in scan_table(TABLE):
        send_sqs_msg(item, QUEUE)
