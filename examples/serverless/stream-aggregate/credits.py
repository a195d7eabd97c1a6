"""GET /credits?sender_id=... answers what the aggregate table says of a sender."""

import json
import os
from decimal import Decimal

import boto3

TABLE = boto3.resource("dynamodb").Table(os.environ["AGG_TABLE"])


def _plain(value):
    """DynamoDB knows one kind of number, boto3 calls it Decimal, and json does not take it."""
    return int(value) if isinstance(value, Decimal) else value


def handler(event, context):
    sender = (event.get("queryStringParameters") or {}).get("sender_id")
    if not sender:
        return {"statusCode": 400, "body": json.dumps({"error": "sender_id is missing"})}
    item = TABLE.get_item(Key={"sender_id": sender}).get("Item")
    if item is None:
        return {"statusCode": 404, "body": json.dumps({"error": f"nothing known of {sender}"})}
    return {"statusCode": 200, "body": json.dumps({k: _plain(v) for k, v in item.items()})}
