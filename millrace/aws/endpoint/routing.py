"""Which service a request is for: what its headers say first, its path last, and S3 where nothing is said.

X-Amz-Target: AmazonSQS.SendMessage                  the JSON protocols name their service
the scope of the signature: .../us-east-1/sqs/...    every signed request does
/2015-03-31/functions/...                            Lambda, unsigned
/000000000000/images                                 a queue's URL, unsigned
Action=...&Version=2011-06-15                        the query protocol: each service has its version
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from millrace.aws.endpoint.signature import credential_of

_TARGETS = {
    "AWSEvents": "events",
    "AWSStepFunctions": "states",
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "Comprehend_20171127": "comprehend",
    "DynamoDBStreams_20120810": "dynamodb",
    "DynamoDB_20120810": "dynamodb",
    "Firehose_20150804": "firehose",
    "GraniteServiceVersion20100801": "monitoring",
    "Kinesis_20131202": "kinesis",
    "Logs_20140328": "logs",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}
_VERSIONS = {
    "2010-03-31": "sns",
    "2010-05-08": "iam",
    "2010-05-15": "cloudformation",
    "2010-08-01": "monitoring",
    "2010-12-01": "ses",
    "2011-06-15": "sts",
    "2012-11-05": "sqs",
    "2016-11-15": "ec2",
}
SIGNING_NAMES = frozenset((*_TARGETS.values(), *_VERSIONS.values()))
_LAMBDA = re.compile(r"/20\d\d-\d\d-\d\d/(functions|event-source-mappings|layers)\b")
_QUEUE = re.compile(r"/\d{12}/[^/]+/?")
FORM = "form"  # no service: only the body can tell
_FORM_TYPE = "application/x-www-form-urlencoded"
_MOST_FORM_BYTES = 4096  # of a form's beginning, in which its Action and Version are looked for


def service_of(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """The service's signing name, FORM where only the body can tell (then ask `service_of_form`)."""
    if target := headers.get("x-amz-target"):
        prefix = target.partition(".")[0]
        return _TARGETS.get(prefix) or _scoped(headers, query) or prefix.lower()
    if scoped := _scoped(headers, query):
        return scoped
    if _LAMBDA.match(path):
        return "lambda"
    if _QUEUE.fullmatch(path) and (method == "POST" or "Action=" in query):
        return "sqs"
    if "Action=" in query:
        return _by_version(query)
    if method == "POST" and path == "/" and headers.get("content-type", "").startswith(_FORM_TYPE):
        return FORM
    return "s3"


def service_of_form(body: bytes) -> str:
    """The service of an unsigned request of the query protocol."""
    return _by_version(body[:_MOST_FORM_BYTES].decode("latin-1"))


def _scoped(headers: Mapping[str, str], query: str) -> str:
    credential = credential_of(headers, query)
    return credential.service if credential else ""


def _by_version(form: str) -> str:
    """SQS where no version is said: it is the one service of ours whose requests are written by hand."""
    versions = parse_qs(form).get("Version", [""])
    return _VERSIONS.get(versions[0], "sqs" if not versions[0] else "")
