"""The names that Serverless gives to what it makes. Source: "naming" of its AWS provider."""

from __future__ import annotations

import re


def function_id(key: str) -> str:
    """The logical id of a function: HelloLambdaFunction, SendDashmailLambdaFunction."""
    return f"{normalized(key)}LambdaFunction"


def normalized(key: str) -> str:
    """A function's key as a part of logical ids."""
    name = key.replace("-", "Dash").replace("_", "Underscore")
    return name[:1].upper() + name[1:]


def bucket_id(name: str) -> str:
    """The logical id of a bucket that an s3 event makes."""
    return f"S3Bucket{_alphanumeric(name)}"


def topic_id(name: str) -> str:
    """The logical id of a topic that an sns event makes."""
    return f"SNSTopic{_alphanumeric(name)}"


def bus_id(name: str) -> str:
    """The logical id of a bus that an eventBridge event makes."""
    return f"{_alphanumeric(name)}EventBridge"


def _alphanumeric(name: str) -> str:
    plain = re.sub(r"[^0-9A-Za-z]", "", name)
    return plain[:1].upper() + plain[1:]
