"""SQS to S3: asks Comprehend how each message sounds, and leaves a CSV in a bucket."""

import csv
import json
import logging
import os
from io import StringIO

import boto3
import botocore

LOG = logging.getLogger()
LOG.setLevel(logging.INFO)

REGION = "us-east-1"
BUCKET = os.environ["BUCKET"]


def delete_sqs_msg(queue_name, receipt_handle):
    """Deletes a message by its receipt, before the batch is done; None when that fails."""
    sqs = boto3.client("sqs", region_name=REGION)
    try:
        queue_url = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
        return sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=receipt_handle)
    except botocore.exceptions.ClientError as error:
        LOG.exception(f"FAILURE TO DELETE SQS MSG: Queue Name [{queue_name}] with error: [{error}]")
        return None


def create_sentiment(text):
    """Uses AWS Comprehend to say how a text sounds: POSITIVE, NEGATIVE, NEUTRAL or MIXED."""
    comprehend = boto3.client(service_name="comprehend")
    return comprehend.detect_sentiment(Text=text, LanguageCode="en")["Sentiment"]


def write_s3(rows, bucket, key):
    """Writes rows of (name, snippet, sentiment) as one CSV object."""
    csv_buffer = StringIO()
    writer = csv.writer(csv_buffer)
    writer.writerow(("names", "snippet", "Sentiment"))
    writer.writerows(rows)
    boto3.resource("s3").Object(bucket, key).put(Body=csv_buffer.getvalue())
    LOG.info(f"result of write to bucket: {bucket} is {key}")


def lambda_handler(event, context):
    for record in event["Records"]:
        body = json.loads(record["body"])
        qname = record["eventSourceARN"].split(":")[-1]
        deleted = delete_sqs_msg(queue_name=qname, receipt_handle=record["receiptHandle"])
        LOG.info(f"Deleted from {qname}: {deleted}", extra={"company_name": body["name"]})
        row = (body["name"], body["snippet"], create_sentiment(body["snippet"]))
        write_s3([row], BUCKET, f"{body['name']}_sentiment.csv")
