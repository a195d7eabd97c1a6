"""Takes mail over HTTP, reads it from a queue, and answers what it was."""

import json
import os

import boto3
from botocore.exceptions import ClientError
from flask import Flask, jsonify, request

from api.model import predict

app = Flask(__name__)
TABLE = boto3.resource("dynamodb").Table(os.environ["VERDICT_TABLE"])
SQS = boto3.client("sqs")


@app.route("/messages", methods=["POST"])
def take():
    """Queue a message; it is read later."""
    message = request.get_json()
    url = SQS.get_queue_url(QueueName=os.environ["MAIL_QUEUE"])["QueueUrl"]
    SQS.send_message(QueueUrl=url, MessageBody=json.dumps(message))
    return jsonify(queued=message["msg_id"]), 202


@app.route("/messages/<msg_id>")
def verdict(msg_id):
    """What a message was; 404 until it has been read."""
    item = TABLE.get_item(Key={"msg_id": msg_id}).get("Item")
    if item is None:
        return jsonify(error="not read yet"), 404
    return jsonify(msg_id=msg_id, label=item["label"], deliveries=int(item["deliveries"]), env=os.environ["CODE_ENV"])


def sqs_predict_label(message):
    """Judges a message once, however often it is delivered."""
    item = {"msg_id": message["msg_id"], "label": "reading", "deliveries": 1}
    try:
        TABLE.put_item(Item=item, ConditionExpression="attribute_not_exists(msg_id)")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        _update(message["msg_id"], "ADD deliveries :one", {":one": 1})
        return
    label = "sales" if predict(message["text"]) else "other"
    _update(message["msg_id"], "SET label = :label", {":label": label})


def get_sqs_msg_and_call_predict(event, context):
    for record in event["Records"]:
        sqs_predict_label(json.loads(record["body"]))


def _update(msg_id, expression, values):
    TABLE.update_item(Key={"msg_id": msg_id}, UpdateExpression=expression, ExpressionAttributeValues=values)
