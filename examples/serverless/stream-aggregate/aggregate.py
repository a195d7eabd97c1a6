"""The table's stream → a running balance per sender, in a table of its own."""

import os

import boto3
from boto3.dynamodb.types import TypeDeserializer

TABLE = boto3.resource("dynamodb").Table(os.environ["AGG_TABLE"])
deserializer = TypeDeserializer()


def handler(event, context):
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        low_level_data = record["dynamodb"]["NewImage"]
        item = {k: deserializer.deserialize(v) for k, v in low_level_data.items()}
        found = TABLE.get_item(Key={"sender_id": item["sender_id"]}).get("Item", {"balance": 0, "transactions": 0})
        TABLE.put_item(
            Item={
                "sender_id": item["sender_id"],
                "balance": found["balance"] + item["credits"],
                "transactions": found["transactions"] + 1,
                "last_msg_id": item["msg_id"],
            }
        )
