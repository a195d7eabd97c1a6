"""Ships orders in batches; the ones that cannot be shipped are reported one by one, the others are done."""

import json
import os

import boto3

SQS = boto3.client("sqs")


def ship(order):
    """Hands an order to the warehouse's queue. Raises ValueError for an order of nothing."""
    if order["quantity"] < 1:
        raise ValueError(f"order {order['id']} is for {order['quantity']} pieces")
    SQS.send_message(QueueUrl=os.environ["SHIPPED_URL"], MessageBody=json.dumps({"shipped": order["id"]}))


def handler(event, context):
    failures = []
    for record in event["Records"]:
        try:
            ship(json.loads(record["body"]))
        except ValueError as error:  # json.JSONDecodeError is one of them
            print(f"{record['messageId']}, try {record['attributes']['ApproximateReceiveCount']}: {error}")
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
