"""A REST API with one path for everybody and one for those who have a key."""

import json

LABELS = {"0": "zero", "1": "one", "2": "two"}


def _answer(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}


def health(event, context):
    return _answer(200, {"ok": True})


def label(event, context):
    """GET /labels/{digit}: its name, 404 without one."""
    digit = event["pathParameters"]["digit"]
    if digit not in LABELS:
        return _answer(404, {"error": f"no label for {digit}"})
    return _answer(200, {"digit": digit, "label": LABELS[digit], "stage": event["requestContext"]["stage"]})
