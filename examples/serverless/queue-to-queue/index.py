"""Takes messages from one queue and writes each of them into another."""

import boto3


def handler(event, context):
    client = boto3.client("sqs")
    address = client.get_queue_url(QueueName="WriteSQS")
    for message in event["Records"]:
        client.send_message(QueueUrl=address["QueueUrl"], MessageBody=message["body"])
